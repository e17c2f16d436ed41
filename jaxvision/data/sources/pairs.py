"""Pairs of images and labels as a data set: arrays in memory, paths of files.

Images in memory are (n, h, w, c) or (n, h, w), integers in 0..255. Labels are
(n,) integers from 0, or text, which names the classes. Examples come in a
fixed, stratified order, so that slices of a split are stratified too.
"""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import packed_names
from jaxvision.data.sources import labels, splits

_COMPARED = 1 << 26  # bytes of images that tell arrays apart


@dataclasses.dataclass(frozen=True)
class _Arrays:
  """Images in memory, and the row of each example in `order`."""

  split: str
  images: np.ndarray
  labels: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [f"{self.split}/{self.order[index]}" for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

  def content(self) -> bytes:
    """Labels and pixels; of large arrays those of some images."""
    size = self.images[:1].nbytes
    step = max(1, size * len(self.images) // _COMPARED)
    pixels = hashlib.sha256(f"{self.images.shape} {step}".encode())
    for image in self.images[::step]:
      pixels.update(np.ascontiguousarray(image))
    return self.labels.tobytes() + pixels.digest()

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    rows = self.order[np.asarray(indices, np.int64)]
    return list(zip(self.images[rows], self.labels[rows].tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class _Files:
  """Files, and the row of each example in `order`."""

  paths: packed_names.Names
  labels: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self.paths[int(self.order[index])] for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

  def content(self) -> bytes:
    return self.all_labels().tobytes()

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    examples = []
    for index in indices:
      row = int(self.order[index])
      content = image_files.read(self.paths[row])
      examples.append((content, int(self.labels[row])))
    return examples


def from_arrays(
  images: np.ndarray,
  labels: np.ndarray,
  *,
  class_names: Sequence[str] = (),
  name: str = "arrays",
  split: str = "train",
) -> dataset.Dataset:
  """Images in memory as a data set.

  Args:
    images: (n, h, w, c) or (n, h, w), integers in 0..255.
    labels: (n,) integers from 0, or text.
    class_names: in the order of the labels; () is as `labels.name_classes`.
    name: of the data set, for messages.
    split: its name, for messages.

  Raises:
    ValueError: arrays of other shapes or types, or a label outside the classes.
  """
  where = f"{name}, split {split!r}"
  images = _pixels(np.asarray(images), where)
  labels, known = _numbered(
    labels, class_names, len(images), name=name, split=split
  )
  rows = _Arrays(split, images, labels, splits.stratified_order(labels))
  return _dataset(rows, name, split, known)


def from_files(
  paths: Sequence[str | os.PathLike],
  labels: Sequence[int] | Sequence[str],
  *,
  class_names: Sequence[str] = (),
  name: str = "files",
  split: str = "train",
) -> dataset.Dataset:
  """Image files as a data set.

  Args:
    paths: of the files; they are opened when they are read.
    labels: one for each, integers from 0 or text.
    class_names, name, split: as in `from_arrays`.

  Raises:
    ValueError: not one label per path, or a label outside the classes.
  """
  labels, known = _numbered(
    labels,
    class_names,
    len(paths),
    name=name,
    split=split,
    locate=lambda row: os.fspath(paths[row]),
  )
  packed = packed_names.pack([os.fsencode(path) for path in paths])
  rows = _Files(packed, labels, splits.stratified_order(labels))
  return _dataset(rows, name, split, known)


def _dataset(
  rows: _Arrays | _Files, name: str, split: str, class_names: tuple[str, ...]
) -> dataset.Dataset:
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(rows.order),
    ids=rows.ids,
    labels=rows.all_labels,
    read=rows.read,
    content=rows.content,
  )


def _pixels(images: np.ndarray, where: str) -> np.ndarray:
  """The images as (n, h, w, c) uint8."""
  if images.ndim not in (3, 4):
    raise ValueError(
      f"{where}: images have the shape {images.shape}; expected (n, h, w, c) "
      "or (n, h, w)"
    )
  if not np.issubdtype(images.dtype, np.integer):
    raise ValueError(
      f"{where}: images are {images.dtype}; expected integers in 0..255, as "
      "from (images * 255).round().astype(numpy.uint8)"
    )
  if images.size and not 0 <= images.min() <= images.max() <= 255:
    raise ValueError(
      f"{where}: pixels lie in {images.min()}..{images.max()}; expected 0..255"
    )
  images = images if images.ndim == 4 else images[..., None]
  return images.astype(np.uint8, copy=False)


def _numbered(
  given: Sequence[int] | Sequence[str] | np.ndarray,
  class_names: Sequence[str],
  count: int,
  *,
  name: str,
  split: str,
  locate: Callable[[int], str] = "example {}".format,
) -> tuple[np.ndarray, tuple[str, ...]]:
  """The labels as (count,) int64, and the names of the classes."""
  where = f"{name}, split {split!r}"
  given = np.asarray(given)
  if given.shape != (count,):
    raise ValueError(
      f"{where}: labels are {given.dtype} of the shape {given.shape}; "
      f"expected integers, or text, of the shape {(count,)}, one per image"
    )
  found = labels.unify({split: given}, where=name)
  known = (
    labels.check_names(class_names, where=where)
    if len(class_names)
    else labels.name_classes(
      found, locate=lambda _, row: f"{where}, {locate(row)}"
    )
  )
  numbers = labels.number(
    found[split], class_names=known, where=where, locate=locate
  )
  return numbers, known
