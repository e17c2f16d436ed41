"""Folders of images: one directory per class, or a table of labels.

The layout is either PATH/CLASS/IMAGE, which is one split "train" that can be
sliced, or PATH/SPLIT/CLASS/IMAGE with the splits train, val (or validation) and
test. Labels follow the class names, sorted by their characters. Sets of classes
and numbers come from a table, see `label_table`. Images without labels may lie
anywhere below the folder, see `unlabelled`. Other names of splits ("dev",
"Training") are also recognised, see `splits`. Hidden files (".DS_Store") are
ignored. Files without an image suffix ("notes.txt") are skipped with one
warning. Masks and captions of images are fields, see `image_fields`. An image
beside the classes, a folder inside a class and a class
without images are errors; all of them are reported together.

The list of files is computed once and stored beside the classes (`index_file`).
It is recomputed when the modification time of a class directory changes, which
happens when a file is added, removed or renamed. In memory it needs the
characters of the names and 12 bytes per file.
"""

import collections
import dataclasses
import functools
import logging
import os
import pathlib
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.batches import prefetch
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import index_file, packed_names
from jaxvision.data.sources import (
  image_fields,
  label_table,
  source,
  splits,
  unlabelled,
)

# Directories are listed in parallel, because network file systems have latency.
_THREADS = 16
_LISTED = 20  # problems in a message


@dataclasses.dataclass(frozen=True)
class _Files:
  """The images of a split.

  Attributes:
    directories: of the classes.
    labels: of the directories.
    names: of the files, class after class.
    ends: (classes,) int64, one past the last file of each directory.
    order: (n,) uint32, the index of the file of each example.
  """

  directories: tuple[str, ...]
  labels: np.ndarray
  names: packed_names.Names
  ends: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [path for path, _ in self._places(indices)]

  def all_labels(self) -> np.ndarray:
    counts = np.diff(self.ends, prepend=0)
    return np.repeat(self.labels, counts)[self.order]

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    return [
      (image_files.read(path), int(self.labels[number]))
      for path, number in self._places(indices)
    ]

  def _places(self, indices: Sequence[int]) -> list[tuple[str, int]]:
    """(path, number of its directory) of each example."""
    rows = self.order[np.asarray(indices, np.int64)].astype(np.int64)
    numbers = np.searchsorted(self.ends, rows, side="right")
    return [
      (os.path.join(self.directories[number], self.names[row]), number)
      for row, number in zip(rows.tolist(), numbers.tolist(), strict=True)
    ]


@dataclasses.dataclass(frozen=True)
class _Listed:
  """The content of a class directory.

  Attributes:
    images: names of image files.
    left_out: paths of skipped files, which have no image suffix.
    problems: messages about entries that are not allowed.
  """

  images: list[bytes]
  left_out: list[str]
  problems: list[str]


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of a folder, each in a fixed, stratified order.

  Args:
    of: reads name, the path.

  Raises:
    FileNotFoundError: the directory does not exist.
    ValueError: the folder or a class is empty; an image is outside the class
      directories; the training split lacks a class; or a class name is not
      UTF-8.
  """
  if of.labels == "none":
    return unlabelled.load(of)
  if of.labels != "classes":
    return label_table.load(of)
  path = pathlib.Path(of.name).expanduser()
  if not path.is_dir():
    raise FileNotFoundError(
      f"no directory {path.absolute()}; data.name must be the path of a folder "
      "with one directory of images per class"
    )
  classes = {
    split: _classes(directory)
    for split, directory in _split_directories(path).items()
  }
  class_names = tuple(classes.get("train") or next(iter(classes.values())))
  return {
    split: _split(path, split, by_name, class_names)
    for split, by_name in classes.items()
  }


def _split_directories(path: pathlib.Path) -> dict[str, pathlib.Path]:
  """{split: directory of classes}; splits only if they contain directories."""
  below = _directories(path)
  called = [d for d in below if splits.of_folder(d.name)]
  found = [d for d in called if _directories(d)]
  if not found:
    if len(called) > 1 and len(called) == len(below):
      raise ValueError(
        f"{path} has the splits {', '.join(d.name for d in called)} without "
        "class directories; put each image into SPLIT/CLASS/"
      )
    return {"train": path}
  written = [splits.of_folder(directory.name) for directory in found]
  others = [d.name for d in below if d not in found]
  if others or len(set(written)) < len(written):
    raise ValueError(
      f"{path} mixes splits ({', '.join(d.name for d in found)}) with "
      f"{', '.join(others) or 'each other'}; keep at most train, val and test"
    )
  problems, beside = _beside(path)
  _raise(path, problems)
  _warn_left_out(path, beside, {}, "")
  order = splits.SPLITS
  pairs = zip(written, found, strict=True)
  return dict(sorted(pairs, key=lambda pair: order.index(pair[0])))


def _classes(path: pathlib.Path) -> dict[str, pathlib.Path]:
  """{class name: its directory}, sorted by class name."""
  directories = _directories(path)
  if not directories:
    raise ValueError(
      f"{path} has no directories; expected one directory of images per class"
    )
  problems = [
    f"{files.printable(d)}: the name of the class is not UTF-8; rename it"
    for d in directories
    if d.name.encode("utf-8", "replace").decode() != d.name
  ]
  # macOS may store "é" as two characters; both forms are the same class.
  by_name: dict[str, pathlib.Path] = {}
  for each in directories:
    name = unicodedata.normalize("NFC", each.name)
    if name in by_name:
      problems.append(
        f"{each} is one of two directories of the class {name!r}, whose names "
        "encode accents differently; move their images into one directory"
      )
    by_name[name] = each
  _raise(path, problems)
  return {name: by_name[name] for name in sorted(by_name)}


def _raise(path: pathlib.Path, problems: Sequence[str]) -> None:
  """Raises one error for all problems, if there are any."""
  if len(problems) == 1:
    raise ValueError(problems[0])
  if problems:
    listed = "".join(f"\n  {each}" for each in problems[:_LISTED])
    rest = len(problems) - _LISTED
    more = f"\n  and {rest} more" if rest > 0 else ""
    raise ValueError(f"{path} has {len(problems)} problems:{listed}{more}")


def _split(
  path: pathlib.Path,
  split: str,
  classes: dict[str, pathlib.Path],
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  unknown = [name for name in classes if name not in class_names]
  if unknown:
    raise ValueError(
      f"split {split!r} of {path} has the classes {unknown[:5]}, which the "
      f"training split lacks; its classes are {list(class_names[:20])}"
    )
  directories = list(classes.values())
  above = directories[0].parent
  # Not in the index: writing it changes the time of the directory above.
  problems, beside = _beside(above)
  arrays = index_file.load(
    above,
    "images",
    of=directories,
    build=lambda: _list(above, directories, problems),
  )
  _raise(above, problems)
  kinds = zip(
    arrays["left_kinds"].tolist(), arrays["left_counts"].tolist(), strict=True
  )
  _warn_left_out(above, beside, dict(kinds), str(arrays["left_first"]))
  numbers = {name: number for number, name in enumerate(class_names)}
  found = _Files(
    directories=tuple(map(os.fspath, directories)),
    labels=np.asarray([numbers[name] for name in classes], np.int64),
    names=packed_names.Names(arrays["characters"], arrays["name_ends"]),
    ends=arrays["class_ends"],
    order=arrays["order"],
  )
  return dataset.Dataset(
    name=str(path),
    split=split,
    class_names=class_names,
    num_examples=len(found.order),
    ids=found.ids,
    labels=found.all_labels,
    read=found.read,
    content=bytes,  # the ids are the files and their classes
    fields=functools.partial(
      image_fields.load, found.ids, len(found.order), (above, path)
    ),
  )


def _beside(above: pathlib.Path) -> tuple[list[str], list[str]]:
  """Problems for images beside the classes, and the names of other files."""
  beside = [
    each.name
    for each in _entries(above)
    if not image_files.is_directory(each) and each.name != image_fields.TABLE
  ]
  problems = [
    f"{files.printable(above / name)} is beside the classes; move it into the "
    "directory of its class, or away"
    for name in sorted(filter(_is_image, beside))
  ]
  return problems, sorted(name for name in beside if not _is_image(name))


def _list(
  above: pathlib.Path,
  directories: Sequence[pathlib.Path],
  problems: Sequence[str],
) -> index_file.Arrays:
  """The index of all images and skipped files; raises if there are problems."""
  listed = list(prefetch.make_ahead(_look, directories, threads=_THREADS))
  inside = [problem for each in listed for problem in each.problems]
  _raise(above, [*problems, *inside])
  left_out = [path for each in listed for path in each.left_out]
  kinds = collections.Counter(map(_kind, left_out))
  first = os.path.relpath(min(left_out), above) if left_out else ""
  counts = [len(each.images) for each in listed]
  order = splits.stratified_order(np.repeat(np.arange(len(counts)), counts))
  together = packed_names.concatenate(
    [packed_names.pack(each.images) for each in listed]
  )
  return {
    "characters": together.characters,
    "name_ends": together.ends,
    "class_ends": np.cumsum(counts),
    "order": order.astype(np.uint32),
    "left_kinds": np.asarray(list(kinds), np.str_),
    "left_counts": np.asarray(list(kinds.values()), np.int64),
    "left_first": np.asarray(files.printable(first)),
  }


def _look(directory: pathlib.Path) -> _Listed:
  """The files of a class directory."""
  found = _Listed([], [], [])
  for entry in _entries(directory):
    if image_files.is_directory(entry):
      found.problems.append(
        f"{files.printable(entry.path)} is a directory inside a class; if the "
        "directories above it are splits, name them train, val and test; "
        "otherwise move its images up"
      )
    elif not (entry.is_symlink() or entry.is_file()):
      found.problems.append(
        f"{files.printable(entry.path)} is a pipe, socket or device; remove it"
      )
    elif _is_image(entry.name):
      found.images.append(os.fsencode(entry.name))
    else:
      found.left_out.append(entry.path)
  stems = {os.path.splitext(name)[0] for name in found.images}
  found.left_out[:] = [
    path
    for path in found.left_out
    if not image_fields.are_captions(os.path.basename(path), stems)
  ]
  found.images[:] = sorted(image_fields.without_masks(found.images))
  if not found.images and not found.problems:
    found.problems.append(
      f"class {directory.name!r} has no image: {directory} is empty, or has no "
      f"files {' '.join(sorted(image_files.EXTENSIONS))}; add images or remove "
      "the directory"
    )
  return found


def _kind(path: str) -> str:
  return files.printable(os.path.splitext(path)[1].lower()) or "no extension"


def _warn_left_out(
  folder: pathlib.Path,
  beside: Sequence[str],
  inside: Mapping[str, int],
  first: str,
) -> None:
  """Warns once per process of files without an image suffix.

  Args:
    folder: of the classes.
    beside: files in this folder.
    inside: number of files of each kind in the class directories.
    first: one of these files.
  """
  kinds = collections.Counter(map(_kind, beside)) + collections.Counter(inside)
  if not kinds:
    return
  listed = ", ".join(f"{k} ({n})" for k, n in kinds.most_common(_LISTED))
  _warn_once(
    f"{folder}: files without an image suffix are skipped: "
    f"{kinds.total()}, of the kinds {listed}; such as "
    f"{first or files.printable(beside[0])}"
  )


@functools.cache
def _warn_once(text: str) -> None:
  logging.getLogger(__name__).warning("%s", text)


def _is_image(name: str) -> bool:
  return os.path.splitext(name)[1].lower() in image_files.EXTENSIONS


def _entries(path: pathlib.Path) -> list[os.DirEntry]:
  """All entries but hidden ones; os.scandir gives their kind without stat."""
  with os.scandir(path) as entries:
    return [each for each in entries if not image_files.is_hidden(each.name)]


def _directories(path: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    pathlib.Path(e.path) for e in _entries(path) if image_files.is_directory(e)
  )
