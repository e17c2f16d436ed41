"""Sections of a report as data: WORKDIR/pages.json and pages.npz.

A task describes its results by tables and pictures; `report` draws them.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import files

_TEXT, _IMAGES = "pages.json", "pages.npz"
# The formats of the numbers in a column.
FORMATS = ("text", "integer", "number", "percent")


@dataclasses.dataclass(frozen=True)
class Table:
  """A table; a click on a heading sorts it.

  Attributes:
    columns: heading -> one of `FORMATS`.
    rows: a value for each column; None for a missing value.
  """

  columns: Mapping[str, str]
  rows: Sequence[Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Page:
  """A section of a report.

  Attributes:
    title: heading of the section.
    note: an explanation for the reader.
    table: a table of numbers; None without a table.
    images: (n, h, w, c) uint8.
    captions: a text for each image; line breaks are kept.
    rows: the number of images in each row; () for one flow of images.
  """

  title: str
  note: str = ""
  table: Table | None = None
  images: np.ndarray | None = None
  captions: Sequence[str] = ()
  rows: Sequence[int] = ()


def write(workdir: pathlib.Path, pages: Sequence[Page]) -> None:
  """Writes the pages of a run; each file is written atomically."""
  images = {
    f"images_{i}": page.images
    for i, page in enumerate(pages)
    if page.images is not None
  }
  with files.writing(workdir / _IMAGES) as file:
    np.savez(file, **images)
  entries = [
    {
      "title": page.title,
      "note": page.note,
      "table": page.table and dataclasses.asdict(page.table),
      "captions": list(page.captions),
      "rows": list(page.rows),
    }
    for page in pages
  ]
  files.write_json(workdir / _TEXT, {"pages": entries}, default=_plain)


def read(workdir: pathlib.Path) -> list[Page]:
  """Reads the pages of a run; none if they are missing or damaged."""
  if not (workdir / _TEXT).is_file():
    return []
  try:
    entries = files.read_json(workdir / _TEXT)["pages"]
    with np.load(workdir / _IMAGES) as arrays:
      return [
        Page(
          title=entry["title"],
          note=entry["note"],
          table=Table(**entry["table"]) if entry["table"] else None,
          images=arrays.get(f"images_{i}"),
          captions=entry["captions"],
          rows=entry.get("rows", ()),
        )
        for i, entry in enumerate(entries)
      ]
  except (OSError, ValueError, KeyError, TypeError):
    return []


def _plain(value: Any) -> Any:
  """Converts numbers and arrays of NumPy to Python values."""
  return value.tolist() if hasattr(value, "tolist") else str(value)
