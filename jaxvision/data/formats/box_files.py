"""Files of bounding boxes: a table in CSV, or a folder of PASCAL VOC's XML.

The table has the columns file_name, xmin, ymin, xmax and ymax, a row per box.
In XML, the form of ImageNet, NAME.xml has the boxes of NAME.JPEG. Numbers are
pixels of the upright image, as image viewers show it. xmax and ymax are one
past the last pixel. An image is found by its folder and its name without
ending, or by its name alone if the folder of the boxes has no images.
"""

import collections
import csv
import io
import os
import pathlib
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence

from jaxvision import files
from jaxvision.data.formats import refusal

# (top, left, bottom, right)
Box = tuple[int, int, int, int]
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LARGEST = 1 << 30  # bytes of a table
_LARGEST_XML = 1 << 20


def read(path: str | os.PathLike) -> dict[str, list[Box]]:
  """{"FOLDER/NAME" of an image without ending: its boxes}.

  FOLDER is the folder that the image is in; "NAME" if the file has no folders.

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
    found.setdefault(_key_of(name), []).append(box)
  return found


def of_images(
  boxes: Mapping[str, Sequence[Box]], paths: Sequence[str]
) -> list[Sequence[Box]]:
  """The boxes of each image; none for an image that the file lacks.

  Args:
    boxes: from `read`.
    paths: of the images.

  Raises:
    ValueError: several images, or boxes in several folders, have the same name,
      and their folders differ.
  """
  keys = [_key_of(each) for each in paths]
  counts = collections.Counter(map(_name, keys))
  folders = {_folder(each) for each in keys} - {""}
  # Boxes whose folder is none of the images' folders: by the name alone.
  others: dict[str, list[str]] = {}
  for key in boxes:
    if _folder(key) not in folders:
      others.setdefault(_name(key), []).append(key)

  def of_image(key: str) -> Sequence[Box]:
    if key in boxes:
      return boxes[key]
    found = others.get(_name(key), [])
    if found and (len(found) > 1 or counts[_name(key)] > 1):
      raise ValueError(
        f"the boxes of {', '.join(map(files.printable, found))} may belong to "
        f"{files.printable(key)} or to another image; write the name of each "
        "image with its folder, as in this one"
      )
    return boxes[found[0]] if found else ()

  return list(map(of_image, keys))


def _key_of(path: str) -> str:
  """The folder of an image and its name without ending."""
  # macOS may store "é" as two characters.
  found = pathlib.PurePath(unicodedata.normalize("NFC", path))
  return (
    f"{found.parent.name}/{found.stem}" if found.parent.name else found.stem
  )


def _folder(key: str) -> str:
  return key.rpartition("/")[0]


def _name(key: str) -> str:
  return key.rpartition("/")[2]


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
      if not row["file_name"]:
        raise ValueError("it has no file_name")
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
    name = str(path.relative_to(folder))
    for corners in boxes:
      yield str(path), name, corners
