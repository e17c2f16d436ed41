"""The task of captioning: an encoder, a decoder and the search for texts."""

from jaxvision.tasks.captioning import beam_search, encoder
from jaxvision.tasks.captioning.loss import draw_captions
from jaxvision.tasks.captioning.task import make
from jaxvision.tasks.captioning.vocabularies import Pieces, Words

__all__ = [
  "Pieces",
  "Words",
  "beam_search",
  "draw_captions",
  "encoder",
  "make",
]
