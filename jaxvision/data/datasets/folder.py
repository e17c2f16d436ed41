"""Folders of images: one directory per class.

Either PATH/CLASS/IMAGE, which is one split called "train" to be sliced, or
PATH/SPLIT/CLASS/IMAGE with the splits train, val (or validation) and test.
Labels follow the names of the classes in the order of their characters.
Hidden files (".DS_Store") are ignored; everything else that is no image is an
error, because images that are left out silently are worse.

The list of files is made once and kept beside the classes (`index_file`); it
is made again when the time of a directory of a class has changed, as it does
when a file is added, removed or renamed. In memory it takes the characters of
the names and 12 bytes per file.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset, image_files, index_file, names, splits

# Directories on networks answer late: they are listed side by side.
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class _Files:
  """The images of a split.

  Attributes:
    directories: of the classes.
    labels: of the directories.
    names: of the files, one class after the other.
    ends: (classes,) int64, one past the last file of each directory.
    order: (n,) uint32, the number of the file of each example.
  """

  directories: tuple[str, ...]
  labels: np.ndarray
  names: names.Names
  ends: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self._path(index)[0] for index in indices]

  def all_labels(self) -> np.ndarray:
    counts = np.diff(self.ends, prepend=0)
    return np.repeat(self.labels, counts)[self.order]

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    examples = []
    for path, label in map(self._path, indices):
      with open(path, "rb", buffering=0) as opened:
        examples.append((opened.read(), label))
    return examples

  def _path(self, index: int) -> tuple[str, int]:
    file = int(self.order[index])
    number = int(np.searchsorted(self.ends, file, side="right"))
    path = os.path.join(self.directories[number], self.names[file])
    return path, int(self.labels[number])


def load(data_config: Any) -> dict[str, dataset.Dataset]:
  """The splits of a folder, each in a fixed, stratified order.

  Args:
    data_config: reads name, the path.

  Raises:
    FileNotFoundError: no such directory.
    ValueError: an empty folder or class, a file that is no image, a class that
      the training split does not have.
  """
  path = pathlib.Path(data_config.name).expanduser()
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
  found = [
    d for d in below if d.name.lower() in splits.NAMES and _directories(d)
  ]
  if not found:
    return {"train": path}
  written = [splits.NAMES[directory.name.lower()] for directory in found]
  others = [d.name for d in below if d not in found]
  if others or len(set(written)) < len(written):
    raise ValueError(
      f"{path} mixes splits ({', '.join(d.name for d in found)}) with "
      f"{', '.join(others) or 'each other'}; keep at most train, val and test"
    )
  order = list(splits.NAMES.values())
  pairs = zip(written, found, strict=True)
  return dict(sorted(pairs, key=lambda pair: order.index(pair[0])))


def _classes(path: pathlib.Path) -> dict[str, pathlib.Path]:
  """{class name: its directory}, sorted by class name."""
  strays = [e.path for e in _entries(path) if not e.is_dir()]
  if strays:
    raise ValueError(
      f"{strays[0]} lies beside the classes ({len(strays)} such files); move "
      "it into the directory of its class, or away"
    )
  directories = _directories(path)
  if not directories:
    raise ValueError(
      f"{path} is empty; it must contain one directory of images per class"
    )
  # macOS may store "é" as two characters: the same name must stay the same.
  by_name = {unicodedata.normalize("NFC", d.name): d for d in directories}
  if len(by_name) < len(directories):
    twins = sorted({d.name for d in directories} - set(by_name))
    raise ValueError(
      f"{path} has two directories for the class {twins[:5]}, with accents as "
      "one character and as two; put their images into one"
    )
  return {name: by_name[name] for name in sorted(by_name)}


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
  arrays = index_file.load(
    directories[0].parent,
    "images",
    of=directories,
    build=lambda: _list(directories),
  )
  numbers = {name: number for number, name in enumerate(class_names)}
  files = _Files(
    directories=tuple(map(os.fspath, directories)),
    labels=np.asarray([numbers[name] for name in classes], np.int64),
    names=names.Names(arrays["characters"], arrays["name_ends"]),
    ends=arrays["class_ends"],
    order=arrays["order"],
  )
  return dataset.Dataset(
    name=str(path),
    split=split,
    class_names=class_names,
    num_examples=len(files.order),
    ids=files.ids,
    labels=files.all_labels,
    read=files.read,
  )


def _list(directories: Sequence[pathlib.Path]) -> index_file.Arrays:
  """The index of all images of the classes."""
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    listed = list(pool.map(_images, directories))
  counts = [len(each) for each in listed]
  order = splits.stratified_order(np.repeat(np.arange(len(counts)), counts))
  together = names.concatenate(listed)
  return {
    "characters": together.characters,
    "name_ends": together.ends,
    "class_ends": np.cumsum(counts),
    "order": order.astype(np.uint32),
  }


def _images(directory: pathlib.Path) -> names.Names:
  """The files of a class, sorted."""
  found = []
  for entry in _entries(directory):
    extension = os.path.splitext(entry.name)[1].lower()
    if extension not in image_files.EXTENSIONS or entry.is_dir():
      raise ValueError(
        f"{entry.path} is no image file "
        f"({' '.join(sorted(image_files.EXTENSIONS))}); a directory of a class "
        "may contain nothing else"
      )
    found.append(os.fsencode(entry.name))
  if not found:
    raise ValueError(
      f"class {directory.name!r} has no image: {directory} is empty; add "
      "images or remove the directory"
    )
  return names.pack(sorted(found))


def _entries(path: pathlib.Path) -> list[os.DirEntry]:
  """All but hidden ones; os.scandir, which knows their kind without a stat."""
  with os.scandir(path) as entries:
    return [entry for entry in entries if not entry.name.startswith(".")]


def _directories(path: pathlib.Path) -> list[pathlib.Path]:
  return sorted(pathlib.Path(e.path) for e in _entries(path) if e.is_dir())
