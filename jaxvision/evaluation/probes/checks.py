"""Checks of features (n, d) and labels (n,), before a probe is fitted.

Shapes are always checked. Values are checked if they exist; under tracing, as
in `jax.jit`, they are not checked.
"""

from typing import Any

import jax
import numpy as np

_LISTED = 5  # maximum number of classes in a message


def check(features: Any, labels: Any, *, num_classes: int) -> None:
  """Raises ValueError for invalid features or labels.

  Args:
    features: (n, d), finite numbers.
    labels: (n,), integers in [0, num_classes).
    num_classes: number of classes, at least 2.
  """
  if np.ndim(features) != 2 or 0 in np.shape(features):
    raise ValueError(
      f"features have shape {np.shape(features)}; they must be (n, d) with at "
      "least one example and one feature: flatten or average other axes"
    )
  if np.shape(labels) != np.shape(features)[:1]:
    raise ValueError(
      f"labels have shape {np.shape(labels)}, features {np.shape(features)}; "
      "there must be one label per example"
    )
  if not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(f"labels are {labels.dtype}; they must be integer classes")
  if num_classes < 2:
    raise ValueError(f"num_classes is {num_classes}; there must be at least 2")
  check_finite(features)
  if _has_values(labels):
    labels = np.asarray(labels)
    if labels.min() < 0 or labels.max() >= num_classes:
      raise ValueError(
        f"labels are in [{labels.min()}, {labels.max()}], outside the "
        f"{num_classes} classes, which start at 0; correct num_classes"
      )


def check_finite(features: Any) -> None:
  """Raises ValueError for NaN and infinity; the message has the first row."""
  if not _has_values(features):
    return
  broken = ~np.isfinite(np.asarray(features)).all(axis=-1)
  if broken.any():
    raise ValueError(
      f"{broken.sum()} of {len(broken)} examples have features that are NaN or "
      f"infinite, the first in row {broken.argmax()}; the model that computed "
      "them has diverged or overflows"
    )


def check_classes(labels: Any, *, num_classes: int, at_least: int = 1) -> None:
  """Raises ValueError for classes with too few examples; lists the classes.

  Args:
    labels: (n,), integers in [0, num_classes).
    num_classes: number of classes.
    at_least: minimum number of examples per class.
  """
  if not _has_values(labels):
    return
  counts = np.bincount(np.asarray(labels), minlength=num_classes)
  few = np.flatnonzero(counts < at_least)
  if len(few):
    listed = ", ".join(f"{i} ({counts[i]})" for i in few[:_LISTED].tolist())
    rest = ", ..." if len(few) > _LISTED else ""
    raise ValueError(
      f"{len(few)} of {num_classes} classes have fewer than {at_least} "
      f"examples: class {listed}{rest}; use a larger split, or remove these "
      "classes and number the others from 0"
    )


def _has_values(array: Any) -> bool:
  return not isinstance(array, jax.core.Tracer)
