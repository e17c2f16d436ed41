"""Which settings of a sweep matter, by a forest fitted to its trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.runs import sweep_folder

_TREES = 200
_REPEATS = 20


def importances(
  columns: Mapping[str, Sequence[Any]], values: np.ndarray
) -> dict[str, float]:
  """The share of each column in what a forest knows of the values.

  A random forest (Breiman 2001) learns the values from the columns; shuffling a
  column then costs it so much of its R². It sees what no correlation does: an
  optimum in the middle of a range, and columns that only matter together.

  Args:
    columns: by name, n numbers or labels each; None where there is none.
    values: (n,) of the objective.

  Returns:
    By name, the most important first; they are at least 0 and sum to 1, or all
    are 0 where there is nothing to learn.
  """
  from sklearn import ensemble, inspection

  if len(values) < 4 or np.ptp(values) == 0:
    return dict.fromkeys(columns, 0.0)
  inputs = np.stack([_numbers(column) for column in columns.values()], axis=1)
  forest = ensemble.RandomForestRegressor(_TREES, random_state=0)
  forest.fit(inputs, values)
  costs = inspection.permutation_importance(
    forest, inputs, values, n_repeats=_REPEATS, random_state=0
  ).importances_mean.clip(0)
  shares = costs / max(costs.sum(), np.finfo(float).tiny)
  found = dict(zip(columns, shares.tolist(), strict=True))
  return dict(sorted(found.items(), key=lambda each: -each[1]))


def _numbers(column: Sequence[Any]) -> np.ndarray:
  """Numbers as they are, labels by their order; what is missing lies below."""
  if sweep_folder.is_numeric(column):
    below = min(value for value in column if value is not None) - 1
    return np.array([below if v is None else v for v in column], float)
  labels = sorted({str(value) for value in column if value is not None})
  return np.array(
    [-1 if v is None else labels.index(str(v)) for v in column], float
  )
