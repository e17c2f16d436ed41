"""A folder of images with a table of their labels: PATH/labels.csv.

The first line has the names of the columns. Each further line is an image.
`file` is the path of the image relative to PATH. `split` is optional: train,
validation or test, or another word for one of them; without this column all
images are "train". The other columns are the labels.

For sets of classes, the column `labels` has class names separated by "|" or ";"
(empty: no class), or each class has a column with 0 or 1. For numbers, each
number has a column. Images that are not in the table are ignored. Masks and
captions of images are fields, see `image_fields`.
"""

import csv
import io
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.sources import (
  label_numbers,
  label_sets,
  labels,
  pairs,
  source,
  splits,
)

NAME = "labels.csv"
_LARGEST = 1 << 30  # bytes
_FILE, _SPLIT, _LABELS = "file", "split", "labels"

Row = Mapping[str, str]


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of a folder with a table, each in a fixed order.

  Args:
    of: the path of the folder, and `labels`: "sets" or "numbers".

  Raises:
    FileNotFoundError: the folder, the table or an image does not exist.
    ValueError: the table has wrong columns, lists an image twice, or has a
      label that cannot be read.
  """
  folder = pathlib.Path(of.name).expanduser()
  table = folder / NAME
  if not table.is_file():
    raise FileNotFoundError(
      f"no file {table.absolute()}; data.labels={of.labels!r} of a folder "
      f"needs this table, with the columns {_FILE!r}, {_SPLIT!r} (optional) "
      "and the labels"
    )
  columns, lines = _read(table)
  by_split = _by_split(lines, table)
  given, names = _LABELLED[of.labels](columns, lines, table)
  return {
    split: pairs.from_files(
      [_path(folder, lines[number], number, table) for number in numbers],
      given[numbers]
      if isinstance(given, np.ndarray)
      else [given[number] for number in numbers],
      class_names=names,
      name=str(folder),
      split=split,
      label_kind=of.labels,
      tables=(folder,),
    )
    for split, numbers in by_split.items()
  }


def _read(table: pathlib.Path) -> tuple[list[str], list[Row]]:
  """The names of the label columns, and all lines."""
  text = files.read_text(table, limit=_LARGEST)
  first, *rest = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
  columns = [labels.clean(name) for name in first]
  if len(set(columns)) < len(columns) or "" in columns or _FILE not in columns:
    raise ValueError(
      f"{table} has the columns {columns}; expected different names, with "
      f"{_FILE!r} among them, in the first line"
    )
  lines = []
  for number, cells in enumerate(rest):
    if len(cells) != len(columns):
      if not cells:
        continue
      raise ValueError(
        f"{table}, line {number + 2} has {len(cells)} cells for "
        f"{len(columns)} columns; quote cells that contain a comma"
      )
    lines.append(dict(zip(columns, map(labels.clean, cells), strict=True)))
  labelled = [name for name in columns if name not in (_FILE, _SPLIT)]
  if not lines or not labelled:
    raise ValueError(
      f"{table} has {len(lines)} images and the columns of labels {labelled}; "
      "expected at least one of each"
    )
  return labelled, lines


def _by_split(
  lines: Sequence[Row], table: pathlib.Path
) -> dict[str, list[int]]:
  """{split: numbers of its lines}, in the order of the splits."""
  found: dict[str, list[int]] = {}
  first: dict[str, int] = {}
  for number, line in enumerate(lines):
    name = line[_FILE]
    if name in first:
      raise ValueError(
        f"{table} lists {files.printable(name)} twice, as images "
        f"{first[name] + 1} and {number + 1}; keep one line for each image"
      )
    first[name] = number
    word = line.get(_SPLIT, "train")
    if word.lower() not in splits.NAMES:
      raise ValueError(
        f"{table}: {files.printable(name)} has the split {word!r}; expected "
        f"one of {', '.join(splits.NAMES)}"
      )
    found.setdefault(splits.NAMES[word.lower()], []).append(number)
  return {split: found[split] for split in splits.SPLITS if split in found}


def _path(
  folder: pathlib.Path, line: Row, number: int, table: pathlib.Path
) -> str:
  path = os.path.join(folder, line[_FILE])
  if not os.path.isfile(path):
    raise FileNotFoundError(
      f"no file {files.printable(path)}, which {table} lists as image "
      f"{number + 1}; correct the column {_FILE!r}: paths are relative to "
      f"{files.printable(folder)}"
    )
  return path


def _sets(
  columns: Sequence[str], lines: Sequence[Row], table: pathlib.Path
) -> tuple[label_sets.Sets, tuple[str, ...]]:
  """The set of each line, and the names of the classes."""
  if list(columns) != [_LABELS]:
    numbers = _numbers(columns, lines, table)[0]
    names = labels.check_names(columns, where=str(table))
    return label_sets.indicators(
      numbers,
      class_names=names,
      where=str(table),
      locate=lambda row: f"image {row + 1}",
    ), names
  found = [
    [each for part in line[_LABELS].split("|") for each in _names(part)]
    for line in lines
  ]
  names = label_sets.name_classes(
    {"": found}, locate=lambda _, row: f"{table}, image {row + 1}"
  )
  if all(map(labels.is_number, names)):
    found = [[int(name) for name in each] for each in found]
    names = label_sets.name_classes(
      {"": found}, locate=lambda _, row: f"{table}, image {row + 1}"
    )
  return found, names


def _names(text: str) -> list[str]:
  return [name for each in text.split(";") if (name := labels.clean(each))]


def _numbers(
  columns: Sequence[str], lines: Sequence[Row], table: pathlib.Path
) -> tuple[np.ndarray, tuple[str, ...]]:
  """(n, t) float64, and the names of the columns."""
  found = np.empty((len(lines), len(columns)))
  for row, line in enumerate(lines):
    for place, column in enumerate(columns):
      try:
        found[row, place] = float(line[column])
      except ValueError as error:
        raise ValueError(
          f"{table}, image {row + 1} ({files.printable(line[_FILE])}) has "
          f"{line[column]!r} in the column {column!r}; expected a number"
        ) from error
  label_numbers.columns(
    found, where=str(table), locate=lambda row: f"image {row + 1}"
  )
  return found, tuple(columns)


_LABELLED = {"sets": _sets, "numbers": _numbers}
