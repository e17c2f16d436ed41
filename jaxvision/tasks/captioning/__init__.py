"""The task of captioning: an encoder, a decoder and the search for texts."""

from jaxvision.tasks.captioning import beam_search, encoder, encoding
from jaxvision.tasks.captioning.task import draw_captions, make
from jaxvision.tasks.captioning.vocabularies import Pieces, Words

__all__ = [
  "Pieces",
  "Words",
  "beam_search",
  "draw_captions",
  "encoder",
  "encoding",
  "make",
]
