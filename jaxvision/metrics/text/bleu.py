"""BLEU of a corpus or a sentence (Papineni et al. 2002).

The counts of n-grams are clipped by the largest count in one reference. The
reference length is the one closest to the length of the hypothesis; of two that
are as close, the shorter, as in nltk, sacrebleu and COCO's evaluation.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from jaxvision.metrics.text import ngrams, tokenizers

# smoothing -> its default value. Chen and Cherry 2014 number them 1 to 3:
# "floor" is nltk's method1, "add-k" its method2, and "exp" its method3.
SMOOTHINGS = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}
_NLTK = {f"method{i}": name for i, name in enumerate(SMOOTHINGS)}


@dataclasses.dataclass(frozen=True)
class Bleu:
  """A BLEU score and its parts.

  Attributes:
    score: in [0, 1].
    precisions: of each order, smoothed, in [0, 1].
    matches, totals: clipped counts and numbers of the n-grams of each order,
      before smoothing.
    brevity_penalty: in [0, 1].
    length, reference_length: numbers of tokens.
  """

  score: float
  precisions: tuple[float, ...]
  matches: tuple[int, ...]
  totals: tuple[int, ...]
  brevity_penalty: float
  length: int
  reference_length: int


def corpus_bleu(
  hypotheses: Sequence[str],
  references: Sequence[Sequence[str]],
  *,
  tokenizer: str = "13a",
  max_order: int = 4,
  smoothing: str = "exp",
  smoothing_value: float | None = None,
) -> Bleu:
  """BLEU of a corpus; the defaults are those of sacrebleu.

  Args:
    hypotheses: n texts.
    references: one or more for each hypothesis; the numbers may differ.
    tokenizer: a name of `tokenizers.TOKENIZERS`.
    max_order: the longest n-grams.
    smoothing: of orders without a match. "none": the score is 0. "floor": the
      value replaces the 0 matches. "add-k": the value is added to matches and
      totals of the orders above 1. "exp": the k-th order without match has the
      precision 1 / (2^k total). "method0" to "method3" are nltk's names.
    smoothing_value: of "floor" and "add-k"; None is 0.1 and 1.

  Raises:
    ValueError: a wrong name or number, or a hypothesis without reference.
  """
  counted = _counts(hypotheses, references, tokenizer, max_order)
  return _score(counted, smoothing, smoothing_value, effective_order=False)


def sentence_bleu(
  hypothesis: str,
  references: Sequence[str],
  *,
  tokenizer: str = "13a",
  max_order: int = 4,
  smoothing: str = "exp",
  smoothing_value: float | None = None,
  effective_order: bool = True,
) -> Bleu:
  """BLEU of one sentence.

  Args:
    hypothesis: a text.
    references: one or more.
    tokenizer, max_order, smoothing, smoothing_value: see `corpus_bleu`.
    effective_order: whether orders that the hypothesis is too short for are
      left out. Otherwise the score of fewer than `max_order` tokens is 0.

  Raises:
    ValueError: see `corpus_bleu`.
  """
  counted = _counts([hypothesis], [references], tokenizer, max_order)
  return _score(
    counted, smoothing, smoothing_value, effective_order=effective_order
  )


def _counts(
  hypotheses: Sequence[str],
  references: Sequence[Sequence[str]],
  tokenizer: str,
  max_order: int,
) -> np.ndarray:
  """(2 max_order + 2,) int: matches, totals, length, reference length."""
  ngrams.check_pairs(hypotheses, references)
  if max_order < 1:
    raise ValueError(f"max_order is {max_order}; expected 1 or more")
  counted = np.zeros(2 * max_order + 2, np.int64)
  for text, others in zip(hypotheses, references, strict=True):
    tokens = tokenizers.tokenize(text, tokenizer)
    tokenized = [tokenizers.tokenize(each, tokenizer) for each in others]
    orders = range(1, max_order + 1)
    counted += np.asarray(
      [
        *(_matches(tokens, tokenized, order) for order in orders),
        *(max(0, len(tokens) - order + 1) for order in orders),
        len(tokens),
        _closest(len(tokens), map(len, tokenized)),
      ]
    )
  return counted


def _matches(
  tokens: Sequence[str], references: Sequence[Sequence[str]], order: int
) -> int:
  """The number of matching n-grams, clipped."""
  allowed = ngrams.count((), order)
  for each in references:
    allowed |= ngrams.count(each, order)
  return (ngrams.count(tokens, order) & allowed).total()


def _closest(length: int, lengths: Iterable[int]) -> int:
  """The closest length; of two, the shorter."""
  return min(lengths, key=lambda each: (abs(each - length), each))


def _score(
  counted: np.ndarray,
  smoothing: str,
  value: float | None,
  *,
  effective_order: bool,
) -> Bleu:
  *counts, length, reference_length = counted.tolist()
  max_order = len(counts) // 2
  matches, totals = counts[:max_order], counts[max_order:]
  precisions = _precisions(matches, totals, smoothing, value)
  penalty = _brevity_penalty(length, reference_length)
  used = [
    each for each in precisions if each is not None or not effective_order
  ]
  score = 0.0
  if any(matches) and all(used):
    score = penalty * math.exp(sum(map(math.log, used)) / len(used))
  return Bleu(
    score=score,
    precisions=tuple(each or 0.0 for each in precisions),
    matches=tuple(matches),
    totals=tuple(totals),
    brevity_penalty=penalty,
    length=length,
    reference_length=reference_length,
  )


def _precisions(
  matches: Sequence[int],
  totals: Sequence[int],
  smoothing: str,
  value: float | None,
) -> list[float | None]:
  """The precision of each order; None if there are no n-grams."""
  name = _NLTK.get(smoothing, smoothing)
  if name not in SMOOTHINGS:
    raise ValueError(
      f"unknown smoothing {smoothing!r}; expected one of "
      f"{', '.join([*SMOOTHINGS, *_NLTK])}"
    )
  value = SMOOTHINGS[name] if value is None else value
  precisions, zeros = [], 0
  for order, (match, total) in enumerate(
    zip(matches, totals, strict=True), start=1
  ):
    added = value if name == "add-k" and order > 1 else 0.0
    zeros += not match
    if not total + added:
      precisions.append(None)
    elif match + added:
      precisions.append((match + added) / (total + added))
    elif name == "exp":
      precisions.append(0.5**zeros / total)
    else:
      precisions.append(value / total if name == "floor" else 0.0)
  return precisions


def _brevity_penalty(length: int, reference_length: int) -> float:
  if length >= reference_length:
    return 1.0
  return math.exp(1 - reference_length / length) if length else 0.0
