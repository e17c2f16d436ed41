"""Folders of images: one directory per class.

Either PATH/CLASS/IMAGE, which is one split called "train" to be sliced, or
PATH/SPLIT/CLASS/IMAGE with the splits train, val (or validation) and test.
Labels follow the names of the classes in the order of their characters.
Hidden files (".DS_Store") are ignored; everything else that is no image is an
error, because images that are left out silently are worse.
"""

import functools
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset, splits

SPLITS = {
  "train": "train",
  "val": "validation",
  "validation": "validation",
  "test": "test",
}
_JPEG = (".jfif", ".jpe", ".jpeg", ".jpg")
_NETPBM = (".pbm", ".pgm", ".pnm", ".ppm")
_OTHERS = (".bmp", ".gif", ".png", ".tif", ".tiff", ".webp")
EXTENSIONS = frozenset((*_JPEG, *_NETPBM, *_OTHERS))


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
  files = {
    split: _scan(directory)
    for split, directory in _split_directories(path).items()
  }
  names = tuple(files.get("train") or next(iter(files.values())))
  return {
    split: _split(path, split, by_class, names)
    for split, by_class in files.items()
  }


def list_images(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
  """Files as they are given; instead of a folder, all images below it, sorted.

  Raises:
    FileNotFoundError: a folder contains no image.
  """
  found: list[pathlib.Path] = []
  for path in map(pathlib.Path, paths):
    below = [path]
    if path.is_dir():
      every = sorted(path.rglob("*"))
      below = [each for each in every if each.suffix.lower() in EXTENSIONS]
    if not below:
      raise FileNotFoundError(
        f"no image in {path}; looked for {' '.join(sorted(EXTENSIONS))}"
      )
    found.extend(below)
  return found


def _split_directories(path: pathlib.Path) -> dict[str, pathlib.Path]:
  """{split: directory of classes}; splits only if they contain directories."""
  below = _directories(path)
  found = [d for d in below if d.name.lower() in SPLITS and _directories(d)]
  if not found:
    return {"train": path}
  names = [SPLITS[directory.name.lower()] for directory in found]
  others = [d.name for d in below if d not in found]
  if others or len(set(names)) < len(names):
    raise ValueError(
      f"{path} mixes splits ({', '.join(d.name for d in found)}) with "
      f"{', '.join(others) or 'each other'}; keep at most train, val and test"
    )
  order = list(SPLITS.values())
  pairs = zip(names, found, strict=True)
  return dict(sorted(pairs, key=lambda pair: order.index(pair[0])))


def _scan(path: pathlib.Path) -> dict[str, list[str]]:
  """{class name: its files, sorted}, sorted by class name."""
  strays = [e.path for e in _entries(path) if not e.is_dir()]
  if strays:
    raise ValueError(
      f"{strays[0]} lies beside the classes ({len(strays)} such files); move "
      "it into the directory of its class, or away"
    )
  by_class = {_name(each): _images(each) for each in _directories(path)}
  if not by_class:
    raise ValueError(
      f"{path} is empty; it must contain one directory of images per class"
    )
  return {name: by_class[name] for name in sorted(by_class)}


def _images(directory: pathlib.Path) -> list[str]:
  entries = _entries(directory)
  for entry in entries:
    extension = os.path.splitext(entry.name)[1].lower()
    if entry.is_dir() or extension not in EXTENSIONS:
      raise ValueError(
        f"{entry.path} is no image file ({' '.join(sorted(EXTENSIONS))}); a "
        "directory of a class may contain nothing else"
      )
  if not entries:
    raise ValueError(
      f"class {directory.name!r} has no image: {directory} is empty; add "
      "images or remove the directory"
    )
  return sorted(entry.path for entry in entries)


def _split(
  path: pathlib.Path,
  split: str,
  by_class: dict[str, list[str]],
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  unknown = [name for name in by_class if name not in class_names]
  if unknown:
    raise ValueError(
      f"split {split!r} of {path} has the classes {unknown[:5]}, which the "
      f"training split lacks; its classes are {list(class_names[:20])}"
    )
  numbers = {name: number for number, name in enumerate(class_names)}
  files = np.asarray([f for each in by_class.values() for f in each], object)
  counts = [len(each) for each in by_class.values()]
  labels = np.repeat([numbers[name] for name in by_class], counts)
  order = splits.stratified_order(labels)
  files, labels = files[order], labels[order]
  return dataset.Dataset(
    name=str(path),
    split=split,
    class_names=class_names,
    num_examples=len(files),
    ids=lambda indices: [files[index] for index in indices],
    labels=lambda: labels.astype(np.int64),
    read=functools.partial(_read, files, labels),
  )


def _read(
  files: np.ndarray, labels: np.ndarray, indices: Sequence[int]
) -> list[dataset.Example]:
  return [
    (pathlib.Path(files[index]).read_bytes(), int(labels[index]))
    for index in indices
  ]


def _entries(path: pathlib.Path) -> list[os.DirEntry]:
  """All but hidden ones; os.scandir, which knows their kind without a stat."""
  with os.scandir(path) as entries:
    return [entry for entry in entries if not entry.name.startswith(".")]


def _directories(path: pathlib.Path) -> list[pathlib.Path]:
  return sorted(pathlib.Path(e.path) for e in _entries(path) if e.is_dir())


def _name(directory: pathlib.Path) -> str:
  # macOS may store "é" as two characters: the same name must stay the same.
  return unicodedata.normalize("NFC", directory.name)
