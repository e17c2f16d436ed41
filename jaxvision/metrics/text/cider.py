"""CIDEr-D (Vedantam et al. 2015), as in COCO's evaluation.

The form is the one of pycocoevalcap: words are not stemmed, the length of a
text is counted in bigrams, and the score is multiplied by 10.
"""

import collections
import functools
import math
from collections.abc import Sequence

import numpy as np

from jaxvision.metrics.text import ngrams, tokenizers

_ORDERS = (1, 2, 3, 4)
_SIGMA = 6.0  # of the penalty for another length, in bigrams
_SCALE = 10.0

# For each order, the weights of the n-grams.
_Weights = list[dict[tuple[str, ...], float]]


def cider_d(
  hypotheses: Sequence[str],
  references: Sequence[Sequence[str]],
  *,
  tokenizer: str = "coco",
) -> np.ndarray:
  """CIDEr-D of each text; the score of the corpus is the mean.

  The weight of an n-gram is its count times log(n / images with it). So the
  score of a text depends on all references, and the score of one image is 0.

  Args:
    hypotheses: n texts, one for each image.
    references: one or more for each hypothesis.
    tokenizer: a name of `tokenizers.TOKENIZERS`.

  Returns:
    (n,) float64 in [0, 10].

  Raises:
    ValueError: a hypothesis has no reference.
  """
  ngrams.check_pairs(hypotheses, references)
  counted = [_counts(text, tokenizer) for text in hypotheses]
  expected = [[_counts(each, tokenizer) for each in of] for of in references]
  weigh = functools.partial(
    _weights, frequency=_frequency(expected), images=len(expected)
  )
  scores = []
  for counts, others in zip(counted, expected, strict=True):
    weights = weigh(counts)
    similar = [
      _similarity(weights, weigh(each)) * _penalty(counts, each)
      for each in others
    ]
    scores.append(_SCALE * np.mean(similar))
  return np.asarray(scores)


def _counts(text: str, tokenizer: str) -> list[ngrams.Counts]:
  tokens = tokenizers.tokenize(text, tokenizer)
  return [ngrams.count(tokens, order) for order in _ORDERS]


def _frequency(
  expected: Sequence[Sequence[list[ngrams.Counts]]],
) -> ngrams.Counts:
  """The number of images that have an n-gram in any reference."""
  return collections.Counter(
    key
    for others in expected
    for key in {key for each in others for order in each for key in order}
  )


def _weights(
  counts: Sequence[ngrams.Counts], frequency: ngrams.Counts, images: int
) -> _Weights:
  """The counts times the logarithm of (images / images with the n-gram)."""
  return [
    {
      key: number * math.log(images / max(1, frequency[key]))
      for key, number in order.items()
    }
    for order in counts
  ]


def _similarity(weights: _Weights, reference: _Weights) -> float:
  """The mean over the orders of the clipped cosine."""
  cosines = []
  for ours, theirs in zip(weights, reference, strict=True):
    product = sum(
      min(ours[key], theirs[key]) * theirs[key]
      for key in ours.keys() & theirs.keys()
    )
    norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    cosines.append(product / norms if norms else 0.0)
  return sum(cosines) / len(cosines)


def _penalty(
  counts: Sequence[ngrams.Counts], reference: Sequence[ngrams.Counts]
) -> float:
  difference = counts[1].total() - reference[1].total()
  return math.exp(-(difference**2) / (2 * _SIGMA**2))
