"""Scores of classes and of pairs of classes from a confusion matrix.

A confusion matrix is `(k, k) int`: rows are true classes, columns predicted.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClassScores:
  """Scores of each class, all `(k,) float`; NaN if undefined (0 / 0)."""

  precision: np.ndarray
  recall: np.ndarray
  f1: np.ndarray
  support: np.ndarray


def class_scores(confusion: np.ndarray) -> ClassScores:
  """Precision, recall, F1 and number of examples of each class.

  Precision is undefined if the class is never predicted, recall if the class
  has no examples, F1 if both are true.
  """
  correct = np.diag(confusion)
  support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
  return ClassScores(
    precision=_ratio(correct, predicted),
    recall=_ratio(correct, support),
    f1=_ratio(2 * correct, support + predicted),
    support=support,
  )


def shares(confusion: np.ndarray) -> np.ndarray:
  """`(k, k) float`: rows divided by their sum; empty rows are 0."""
  return np.nan_to_num(_ratio(confusion, confusion.sum(axis=1, keepdims=True)))


def confused_pairs(
  confusion: np.ndarray, *, limit: int
) -> list[tuple[int, int, int]]:
  """The most frequent mistakes, `(true, predicted, count)`, at most `limit`.

  Ties are ordered by the fraction of the true class, then by the indices.
  """
  mistakes = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
  true, predicted = np.nonzero(mistakes)
  counts = mistakes[true, predicted]
  share = shares(confusion)[true, predicted]
  order = np.lexsort((predicted, true, -share, -counts))[:limit]
  return [(int(true[i]), int(predicted[i]), int(counts[i])) for i in order]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
  with np.errstate(divide="ignore", invalid="ignore"):
    return numerator / denominator
