"""Sets of classes as labels: an image has any number of classes, also none.

The labels of a split are an array (n, k) of 0 and 1, one column per class, or n
collections, such as lists, of class names or of class numbers from 0. All are
converted to (n, k) uint8. Names are compared as in `labels`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data.sources import labels

Sets = np.ndarray | Sequence[Collection[str]] | Sequence[Collection[int]]
# (split, row) -> the position of the label, for messages
Locate = Callable[[str, int], str]


def name_classes(
  given: Mapping[str, Sets], *, locate: Locate, num_classes: int = 0
) -> tuple[str, ...]:
  """The class names of sets, if the data set does not provide them.

  Args:
    given: the labels of each split.
    locate: see above.
    num_classes: for sets of numbers; 0 uses the largest number.

  Returns:
    The distinct names, sorted, or the numbers of the classes.

  Raises:
    ValueError: splits have different numbers of columns; some labels are names
      and others numbers; or a value is not a label.
  """
  widths = {split: each.shape[1:] for split, each in _matrices(given).items()}
  if widths:
    if len(set(widths.values())) > 1 or len(widths) < len(given):
      raise ValueError(
        f"{locate(next(iter(given)), 0)}: the splits have arrays of labels of "
        f"{widths} columns; give all splits arrays (n, k) of the same k"
      )
    return tuple(map(str, range(next(iter(widths.values()))[0])))
  flat = {split: _flat(each) for split, each in given.items()}
  used = {split: each for split, (each, _) in flat.items() if len(each)}
  if not used:
    return tuple(map(str, range(num_classes)))

  def place(split: str, number: int) -> str:
    return locate(split, int(flat[split][1][number]))

  unified = labels.unify(used, where=locate(next(iter(used)), 0))
  return labels.name_classes(unified, locate=place, num_classes=num_classes)


def indicators(
  given: Sets,
  *,
  class_names: Sequence[str],
  where: str,
  locate: Callable[[int], str] = "example {}".format,
) -> np.ndarray:
  """Returns the sets as (n, k) uint8 of 0 and 1.

  Args:
    given: the labels of one split.
    class_names: (k,) the known classes.
    where: the origin of the labels, for messages.
    locate: row -> the position of the label, for messages.

  Raises:
    ValueError: the number of columns is not k; a value is neither 0 nor 1; or
      a class is unknown.
  """
  if is_matrix(given):
    return _checked(given, class_names, where, locate)
  flat, rows = _flat(given)
  found = np.zeros((len(given), len(class_names)), np.uint8)
  if len(flat):
    unified = labels.unify({"": flat}, where=where)[""]
    numbers = labels.number(
      unified,
      class_names=class_names,
      where=where,
      locate=lambda place: locate(int(rows[place])),
    )
    found[rows, numbers] = 1
  return found


def strata(found: np.ndarray) -> np.ndarray:
  """(n,) the rarest class of each set; k for the empty set.

  The order of examples is stratified by this class, so slices of a split
  contain rare classes in the same proportions.
  """
  counts = found.sum(axis=0, dtype=np.int64)
  rank = np.where(found > 0, counts, np.iinfo(np.int64).max)
  return np.where(found.any(axis=1), rank.argmin(axis=1), found.shape[1])


def is_matrix(given: Any) -> bool:
  """Whether labels are an array (n, k) instead of n collections."""
  return isinstance(given, np.ndarray) and given.dtype != object


def _matrices(given: Mapping[str, Sets]) -> dict[str, np.ndarray]:
  found = {split: each for split, each in given.items() if is_matrix(each)}
  for split, each in found.items():
    if each.ndim != 2:
      raise ValueError(
        f"labels of the split {split!r} have the shape {each.shape}; expected "
        "(n, k) of 0 and 1 for data.labels='sets', one column per class"
      )
  return found


def _checked(
  given: np.ndarray,
  class_names: Sequence[str],
  where: str,
  locate: Callable[[int], str],
) -> np.ndarray:
  if given.ndim != 2 or given.shape[1] != len(class_names):
    raise ValueError(
      f"{where}: labels have the shape {given.shape}; expected "
      f"(n, {len(class_names)}), one column for each of the "
      f"{len(class_names)} classes"
    )
  wrong = np.argwhere((given != 0) & (given != 1))
  if len(wrong):
    row, column = wrong[0].tolist()
    raise ValueError(
      f"{where}: {locate(row)} has {given[row, column]} for the class "
      f"{class_names[column]!r}; expected 0 or 1"
    )
  return given.astype(np.uint8)


def _flat(given: Sequence[Collection]) -> tuple[np.ndarray, np.ndarray]:
  """All labels of n collections, and the row of each."""
  for row, each in enumerate(given):
    if isinstance(each, str | bytes) or not isinstance(each, Collection):
      raise ValueError(
        f"the label of example {row} is {each!r}; expected a list of classes "
        "for data.labels='sets'"
      )
  pairs = [(label, row) for row, each in enumerate(given) for label in each]
  flat = [label for label, _ in pairs]
  if len({isinstance(label, str) for label in flat}) > 1:
    raise ValueError(
      f"some labels are names and others numbers, such as {flat[0]!r}; use one "
      "of the two"
    )
  return np.asarray(flat), np.asarray([row for _, row in pairs], np.int64)
