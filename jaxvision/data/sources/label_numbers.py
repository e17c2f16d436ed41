"""Numbers as labels: the targets of a regression, one or several per image.

The labels of a split are (n,) or (n, t) real numbers. They are converted to
(n, t) float32; NaN and infinity are errors.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def columns(
  given: Any,
  *,
  where: str,
  locate: Callable[[int], str] = "example {}".format,
) -> np.ndarray:
  """Returns (n, t) float32.

  Args:
    given: (n,) or (n, t) numbers.
    where: the origin of the labels, for messages.
    locate: row -> the position of the label, for messages.

  Raises:
    ValueError: the shape or type is wrong, or a number is not finite.
  """
  try:
    found = np.asarray(given)
  except ValueError as error:
    raise ValueError(
      f"{where}: the examples have different numbers of labels ({error}); give "
      "each example the same number of them"
    ) from error
  if found.dtype.kind not in "biuf" or found.ndim not in (1, 2):
    raise ValueError(
      f"{where}: labels are {found.dtype} of the shape {found.shape}; expected "
      "numbers of the shape (n,) or (n, t) for data.labels='numbers'"
    )
  with np.errstate(over="ignore"):  # an infinity is refused below
    found = found.reshape(len(found), -1).astype(np.float32)
  wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
  if wrong.size:
    row = int(wrong[0])
    raise ValueError(
      f"{where}: {locate(row)} has the label {found[row].tolist()} "
      f"({wrong.size} such examples); every label must be a finite number in "
      "the range of float32: leave out examples without a label"
    )
  return found


def check_names(names: Sequence[str], found: np.ndarray, *, where: str) -> None:
  """Raises ValueError unless there is one name per number of an example."""
  if len(names) != found.shape[1]:
    raise ValueError(
      f"{where}: {len(names)} names for {found.shape[1]} numbers per example; "
      "give one name for each"
    )
