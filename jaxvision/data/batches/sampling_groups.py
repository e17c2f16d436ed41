"""The groups of examples that training draws equally often."""

import numpy as np

from jaxvision import lookup
from jaxvision.data import dataset

SAMPLINGS = ("uniform", "balanced")


def make(of: dataset.Dataset, sampling: str) -> tuple[np.ndarray, ...]:
  """Returns the examples of each class, (n_i,) int64; () for uniform sampling.

  If labels are sets of classes, an example is in the group of each of its
  classes, and the examples without a class form one more group. Classes
  without an example have no group.

  Args:
    of: the split; all of its labels are read.
    sampling: "uniform" or "balanced".

  Raises:
    ValueError: the sampling is unknown; or it is "balanced", and labels are
      numbers or the split is a mixture.
  """
  if sampling not in SAMPLINGS:
    raise ValueError(lookup.unknown("data.sampling", sampling, SAMPLINGS))
  if sampling == "uniform":
    return ()
  if of.mixture:
    raise ValueError(
      "data.sampling is 'balanced', and data.kind is 'mixture', which draws "
      "examples by its weights; use data.sampling='uniform'"
    )
  if of.label_kind in ("numbers", "none"):
    raise ValueError(
      f"data.sampling is 'balanced', and data.labels is {of.label_kind!r}, so "
      "there are no classes; use data.sampling='uniform'"
    )
  labels = of.labels()
  if labels.ndim == 1:
    rows = [labels == label for label in range(len(of.class_names))]
  else:
    rows = [*(labels.T > 0), ~labels.any(axis=1)]
  groups = map(np.flatnonzero, rows)
  return tuple(group for group in groups if len(group))
