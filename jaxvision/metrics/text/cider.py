"""CIDEr-D (Vedantam et al. 2015), as in COCO's evaluation.

The form is the one of pycocoevalcap: words are not stemmed, the length of a
text is counted in bigrams, and the score is multiplied by 10.
"""

import collections
import math
from collections.abc import Mapping, Sequence

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
  rarity = _rarity(expected)
  scores = []
  for counts, others in zip(counted, expected, strict=True):
    weights = _weights(counts, rarity)
    similar = [
      _similarity(weights, _weights(each, rarity)) * _penalty(counts, each)
      for each in others
    ]
    scores.append(_SCALE * np.mean(similar))
  return np.asarray(scores)


def _counts(text: str, tokenizer: str) -> list[ngrams.Counts]:
  tokens = tokenizers.tokenize(text, tokenizer)
  return [ngrams.count(tokens, order) for order in _ORDERS]


class _Rarity(dict):
  """The logarithm of (images / images with an n-gram)."""

  def __init__(self, frequency: Mapping[tuple[str, ...], int], images: int):
    self.unseen = math.log(images)
    super().__init__(
      {key: self.unseen - math.log(n) for key, n in frequency.items()}
    )

  def __missing__(self, key: tuple[str, ...]) -> float:
    return self.unseen


def _rarity(expected: Sequence[Sequence[list[ngrams.Counts]]]) -> _Rarity:
  frequency = collections.Counter(
    key
    for others in expected
    for key in {key for each in others for order in each for key in order}
  )
  return _Rarity(frequency, len(expected))


def _weights(counts: Sequence[ngrams.Counts], rarity: _Rarity) -> _Weights:
  return [
    {key: number * rarity[key] for key, number in order.items()}
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
