"""Files of bounding boxes: a table in CSV, or a folder of PASCAL VOC's XML.

The table has the columns file_name, xmin, ymin, xmax and ymax, a row per box.
In XML, the form of ImageNet, NAME.xml has the boxes of NAME.JPEG. Numbers are
pixels of the stored image. xmax and ymax are one past the last pixel.
"""

import csv
import io
import os
import pathlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from jaxvision import files
from jaxvision.data.formats import refusal

# (top, left, bottom, right)
Box = tuple[int, int, int, int]
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LARGEST = 1 << 30  # bytes of a table
_LARGEST_XML = 1 << 20


def read(path: str | os.PathLike) -> dict[str, list[Box]]:
  """{file name of an image without folder and ending: its boxes}.

  Args:
    path: of the table, or of a folder with XML files in any folder below it.

  Raises:
    FileNotFoundError: there is no such file, or no XML in the folder.
    ValueError: a file is not of this form, or a box is empty.
  """
  path = pathlib.Path(path)
  found: dict[str, list[Box]] = {}
  for where, name, corners in _of_xml(path) if path.is_dir() else _rows(path):
    left, top, right, bottom = corners
    if not (0 <= left < right and 0 <= top < bottom):
      raise ValueError(
        f"{where}: the box of {files.printable(name)} has xmin, ymin, xmax, "
        f"ymax = {corners}; expected 0 <= xmin < xmax and 0 <= ymin < ymax"
      )
    box = (top, left, bottom, right)
    found.setdefault(pathlib.PurePath(name).stem, []).append(box)
  return found


def _rows(path: pathlib.Path) -> Iterator[tuple[str, str, tuple[int, ...]]]:
  text = files.read_text(path, limit=_LARGEST)
  rows = csv.DictReader(io.StringIO(text, newline=""))
  names = ("file_name", *_CORNERS)
  if missing := [name for name in names if name not in (rows.fieldnames or ())]:
    raise ValueError(
      f"{path} lacks the columns {', '.join(missing)}; its first line must be "
      f"{','.join(names)}"
    )
  for row in rows:
    where = f"{path}, line {rows.line_num}"
    with refusal.naming(f"{where} is not a box", remedy="correct it"):
      corners = tuple(round(float(row[name])) for name in _CORNERS)
    yield where, row["file_name"], corners


def _of_xml(folder: pathlib.Path) -> Iterator[tuple[str, str, tuple[int, ...]]]:
  paths = sorted(folder.rglob("*.xml"))
  if not paths:
    raise FileNotFoundError(f"no file of boxes, NAME.xml, in {folder}")
  for path in paths:
    text = files.read_text(path, limit=_LARGEST_XML)
    what = f"{path} is not XML of PASCAL VOC"
    with refusal.naming(what, remedy="remove it, or correct it"):
      # Entities may expand to gigabytes; these files have none.
      if "<!" in text:
        raise ValueError("it has a declaration, '<!'")
      boxes = [
        tuple(round(float(each.findtext(name))) for name in _CORNERS)
        for each in ElementTree.fromstring(text).iter("bndbox")
      ]
    for corners in boxes:
      yield str(path), path.stem, corners
