"""What a confusion matrix says about each class and each pair of classes.

A confusion matrix is `(k, k) int`: rows are true classes, columns predicted.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClassScores:
  """Scores of every class, each `(k,) float`; NaN where undefined (0 / 0)."""

  precision: np.ndarray
  recall: np.ndarray
  f1: np.ndarray
  support: np.ndarray


def class_scores(confusion: np.ndarray) -> ClassScores:
  """Precision, recall, F1 and number of examples of every class.

  Precision is undefined for a class that is never predicted, recall for a
  class that never occurs, F1 for a class that does neither.
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
  """`(k, k) float`: each row as shares of its true class; empty rows are 0."""
  return np.nan_to_num(_ratio(confusion, confusion.sum(axis=1, keepdims=True)))


def confused_pairs(
  confusion: np.ndarray, *, limit: int
) -> list[tuple[int, int, int]]:
  """The most frequent mistakes, `(true, predicted, count)`, at most `limit`.

  Ties are in order of the share of the true class, then of the indices.
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
