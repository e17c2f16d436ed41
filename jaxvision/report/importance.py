"""Importance of the settings of a sweep, from a random forest."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.runs import sweep_folder

_TREES = 200
_REPEATS = 20


def importances(
  columns: Mapping[str, Sequence[Any]], values: np.ndarray
) -> dict[str, float]:
  """The permutation importance of each column.

  A random forest (Breiman 2001) predicts the values from the columns. The
  importance of a column is the loss of R² when the column is shuffled. Unlike a
  correlation, it detects an optimum inside a range, and interactions.

  Args:
    columns: {name: n numbers or labels}; None for a missing value.
    values: (n,) values of the objective.

  Returns:
    {name: importance}, largest first. The importances are at least 0 and sum to
    1; all are 0 if the values are constant or fewer than 4.
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
  """Numbers unchanged, labels by their rank; a missing value is the lowest."""
  if sweep_folder.is_numeric(column):
    below = min(value for value in column if value is not None) - 1
    return np.array([below if v is None else v for v in column], float)
  labels = sorted({str(value) for value in column if value is not None})
  return np.array(
    [-1 if v is None else labels.index(str(v)) for v in column], float
  )
