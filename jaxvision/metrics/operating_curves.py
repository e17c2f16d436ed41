"""Curves over all thresholds of a score: ROC, and precision by recall.

Examples with equal scores pass a threshold together.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class OperatingCurves:
  """The decisions "score >= threshold" for falling thresholds.

  Attributes:
    false_positive_rate, recall: (t + 1,), from 0 to 1; the first threshold
      accepts nothing.
    precision: (t + 1,); the first is 1 by convention.
    area: below recall over the false positive rate (AUROC).
    average_precision: the sum of precision times the gain of recall.
  """

  false_positive_rate: np.ndarray
  recall: np.ndarray
  precision: np.ndarray
  area: float
  average_precision: float


def operating_curves(
  scores: np.ndarray, positive: np.ndarray
) -> OperatingCurves | None:
  """The curves of a class against all others.

  Args:
    scores: (n,) float, larger for the class.
    positive: (n,) bool, whether an example is of the class.

  Returns:
    The curves; None if all or no examples are of the class.
  """
  if positive.all() or not positive.any():
    return None
  order = np.argsort(-scores, kind="stable")
  hits = np.cumsum(positive[order])
  last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
  hits, accepted = hits[last], last + 1
  recall = np.concatenate([[0.0], hits / hits[-1]])
  precision = np.concatenate([[1.0], hits / accepted])
  misses = accepted - hits
  false_positive_rate = np.concatenate([[0.0], misses / misses[-1]])
  return OperatingCurves(
    false_positive_rate,
    recall,
    precision,
    area=float(np.trapezoid(recall, false_positive_rate)),
    average_precision=float((np.diff(recall) * precision[1:]).sum()),
  )
