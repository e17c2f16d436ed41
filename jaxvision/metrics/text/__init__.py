"""Metrics of texts: BLEU, ROUGE and CIDEr-D, in pure Python.

Every metric takes hypotheses, one text each, and one or more references for
each hypothesis. A hypothesis without words is allowed and scores 0. BLEU and
ROUGE are fractions in [0, 1]; sacrebleu prints percent. CIDEr-D is in [0, 10].
"""

from jaxvision.metrics.text.bleu import (
  SMOOTHINGS,
  Bleu,
  corpus_bleu,
  sentence_bleu,
)
from jaxvision.metrics.text.captions import caption_scores
from jaxvision.metrics.text.cider import cider_d
from jaxvision.metrics.text.rouge import (
  ROUGE_KINDS,
  Rouge,
  coco_rouge_l,
  mean_rouge,
  rouge,
)
from jaxvision.metrics.text.signatures import signature
from jaxvision.metrics.text.tokenizers import TOKENIZERS, tokenize

__all__ = [
  "ROUGE_KINDS",
  "SMOOTHINGS",
  "TOKENIZERS",
  "Bleu",
  "Rouge",
  "caption_scores",
  "cider_d",
  "coco_rouge_l",
  "corpus_bleu",
  "mean_rouge",
  "rouge",
  "sentence_bleu",
  "signature",
  "tokenize",
]
