"""Fields of image files: masks and captions beside the images, and a table.

The mask of NAME.jpg is NAME.mask.png in the same folder. Its captions are the
lines of NAME.txt. Or captions are in metadata.csv, the table of Hugging Face's
imagefolder: a column `file_name`, the path of an image below the folder of the
table, and a column `caption` or `text`; an image may have several rows. The
table precedes the files. A field is there if every image has it.
"""

import csv
import functools
import io
import logging
import os
import pathlib
from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import caption_files
from jaxvision.data.sources import labels

TABLE = "metadata.csv"
_MASK, _CAPTION = ".mask.png", ".txt"
_LONGEST = 1 << 20  # bytes of the captions of an image
_FILE, _COLUMNS = "file_name", ("caption", "text")
_LARGEST = 1 << 30  # bytes
_SAMPLED = 64  # images that tell whether there is any mask or caption

# indices -> paths of the images
Paths = Callable[[Sequence[int]], list[str]]


def without_masks(names: Sequence[bytes]) -> list[bytes]:
  """The names of the images of a folder that are no mask of another one."""
  masks = [name for name in names if name.endswith(_MASK.encode())]
  if not masks:
    return list(names)
  known = {os.path.splitext(name)[0] for name in names}
  return [
    name
    for name in names
    if not name.endswith(_MASK.encode())
    or name.removesuffix(_MASK.encode()) not in known
  ]


def load(
  paths: Paths, num_examples: int, folders: Sequence[pathlib.Path]
) -> dict[str, dataset.Field]:
  """The fields of images; reads the table and looks for the masks.

  Args:
    paths: of the images.
    num_examples: how many they are.
    folders: where the table of captions may be; the first one counts.

  Raises:
    ValueError: a table without the columns above.
  """
  found = {}
  if _is_complete("masks", paths, num_examples, _has_mask):
    read = functools.partial(_read_masks, paths)
    found["segmentation_mask"] = dataset.Field("mask", read)
  table = next(
    (table for each in folders if (table := each / TABLE).is_file()), None
  )
  captions = _captions(table) if table else {}
  has, read = _has_caption, functools.partial(_read_beside, paths)
  if captions:
    has = functools.partial(_is_listed, captions)
    read = functools.partial(_read_captions, paths, captions)
  if _is_complete("captions", paths, num_examples, has):
    found["caption"] = dataset.Field("text", read)
  return found


def are_captions(name: str, images: Container[bytes]) -> bool:
  """Whether a file has the captions of an image of its folder.

  Args:
    name: of the file.
    images: names of the images of the folder without their endings.
  """
  stem, ending = os.path.splitext(name)
  return ending == _CAPTION and os.fsencode(stem) in images


def _is_complete(
  what: str, paths: Paths, count: int, has: Callable[[str], bool]
) -> bool:
  """Whether all images have a field; warns if only some have it.

  If none of a few images has it, the others are not examined.
  """
  few = np.linspace(0, count - 1, min(count, _SAMPLED)).astype(int).tolist()
  if not any(map(has, paths(few))):
    return False
  missing = [path for path in paths(range(count)) if not has(path)]
  if missing:
    logging.getLogger(__name__).warning(
      "%d of %d images have no %s, such as %s; the others are not used",
      len(missing),
      count,
      what,
      files.printable(missing[0]),
    )
  return not missing


def _has_mask(path: str) -> bool:
  return os.path.isfile(_mask_of(path))


def _has_caption(path: str) -> bool:
  """Whether the file of captions exists and is not empty."""
  try:
    return os.path.getsize(_caption_of(path)) > 0
  except OSError:
    return False


def _is_listed(captions: Mapping[str, str], path: str) -> bool:
  return os.path.normpath(path) in captions


def _caption_of(path: str) -> str:
  return os.path.splitext(path)[0] + _CAPTION


def _mask_of(path: str) -> str:
  return os.path.splitext(path)[0] + _MASK


def _read_masks(paths: Paths, indices: Sequence[int]) -> list[bytes]:
  return [image_files.read(_mask_of(path)) for path in paths(indices)]


def _read_beside(paths: Paths, indices: Sequence[int]) -> list[str]:
  return [_read_file(_caption_of(path)) for path in paths(indices)]


def _read_file(path: str) -> str:
  try:
    text = files.read_text(path, limit=_LONGEST)
  except ValueError as error:  # of this image; the others can be read
    raise OSError(str(error)) from error
  return caption_files.together(text.split("\n"))


def _read_captions(
  paths: Paths, captions: Mapping[str, str], indices: Sequence[int]
) -> list[str]:
  return [captions[os.path.normpath(path)] for path in paths(indices)]


def _captions(table: pathlib.Path) -> dict[str, str]:
  """{path of an image: its captions}; without a column of captions empty."""
  text = files.read_text(table, limit=_LARGEST)
  rows = csv.DictReader(io.StringIO(text, newline=""))
  columns = [labels.clean(name) for name in rows.fieldnames or ()]
  rows.fieldnames = columns
  if _FILE not in columns:
    raise ValueError(
      f"{table} has the columns {columns}; expected {_FILE!r}, the path of an "
      f"image below {table.parent}, and {_COLUMNS[0]!r} or {_COLUMNS[1]!r}"
    )
  column = next((name for name in _COLUMNS if name in columns), None)
  if column is None:
    return {}
  found: dict[str, list[str]] = {}
  for row in rows:
    if row[_FILE] and row[column]:
      path = os.path.normpath(table.parent / row[_FILE])
      found.setdefault(path, []).append(row[column])
  return {path: caption_files.together(each) for path, each in found.items()}
