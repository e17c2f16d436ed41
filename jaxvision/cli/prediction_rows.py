"""Predictions as the rows of a table: one per image, or one per class.

The first row has the names of the columns. An image that cannot be read has
empty cells, and the reason in the column `error`.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxvision.cli import predictions

Record = Mapping[str, Any]
Row = tuple[Any, ...]

_IMAGE, _ERROR = "image", "error"
_RANKED = ("class", "probability")


def per_image(found: Sequence[Record], *, like: Record) -> Iterator[Row]:
  """Yields image, the columns of its prediction, error.

  The columns are class_1, probability_1, class_2 and so on, by rank; caption,
  probability of a caption; or one per class or number, with its name, in the
  order of the model.

  Args:
    found: from `inference.predict`.
    like: a prediction with the fields of those in `found`.
  """
  columns = _distinct([name for name, _ in _cells(like)])
  yield (_IMAGE, *columns, _ERROR)
  for each in found:
    if _ERROR in each:
      yield (each[_IMAGE], *[""] * len(columns), each[_ERROR])
    else:
      yield (each[_IMAGE], *(value for _, value in _cells(each)), "")


def per_class(found: Sequence[Record], *, like: Record) -> Iterator[Row]:
  """Yields image, rank, class or caption, probability, error.

  Args:
    found: from `inference.predict`.
    like: as for `per_image`.
  """
  is_caption = any("caption" in each for each in like["top"])
  kind = "caption" if is_caption else "class"
  yield (_IMAGE, "rank", kind, "probability", _ERROR)
  for each in found:
    if _ERROR in each:
      yield (each[_IMAGE], "", "", "", each[_ERROR])
    for rank, named in enumerate(each.get("top", ()), start=1):
      number = named.get("probability", named.get("value"))
      yield (each[_IMAGE], rank, predictions.name_of(named), number, "")


def _cells(prediction: Record) -> list[tuple[str, Any]]:
  """The names of the columns of an image, and their values."""
  if "probabilities" in prediction:
    every = prediction["probabilities"]
    return [(each["class"], each["probability"]) for each in every]
  cells: list[tuple[str, Any]] = []
  for rank, each in enumerate(prediction["top"], start=1):
    if "value" in each:
      cells += [(each["class"], each["value"])]
    elif "caption" in each:
      cells += [(name, each[name]) for name in ("caption", "probability")]
    else:
      cells += [(f"{name}_{rank}", each[name]) for name in _RANKED]
  return cells


def _distinct(names: Sequence[str]) -> list[str]:
  """The names; a name of several columns gets its position: crane[134]."""
  counts = collections.Counter([_IMAGE, *names, _ERROR])
  return [
    name if counts[name] == 1 else f"{name}[{number}]"
    for number, name in enumerate(names)
  ]
