"""Pairs of images and labels as a data set: arrays in memory, paths of files.

Images in memory are (n, h, w, c) or (n, h, w), integers in 0..255. Labels are
(n,) integers from 0, or text, which names the classes. Examples come in a
fixed, stratified order, so that slices of a split are stratified too.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from jaxvision.data import dataset, names, splits


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

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    rows = self.order[np.asarray(indices, np.int64)]
    return list(zip(self.images[rows], self.labels[rows].tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class _Files:
  """Files, and the row of each example in `order`."""

  paths: names.Names
  labels: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self.paths[int(self.order[index])] for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    examples = []
    for index in indices:
      row = int(self.order[index])
      with open(self.paths[row], "rb", buffering=0) as opened:
        examples.append((opened.read(), int(self.labels[row])))
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
    class_names: in the order of the labels; () takes those of `name_classes`.
    name: of the data set, for messages.
    split: its name, for messages.

  Raises:
    ValueError: arrays of other shapes or types, or a label outside the classes.
  """
  where = f"{name}, split {split!r}"
  images = _pixels(np.asarray(images), where)
  labels, known = _numbered(labels, class_names, len(images), where)
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
  where = f"{name}, split {split!r}"
  labels, known = _numbered(labels, class_names, len(paths), where)
  packed = names.pack([os.fsencode(path) for path in paths])
  rows = _Files(packed, labels, splits.stratified_order(labels))
  return _dataset(rows, name, split, known)


def name_classes(
  labels: Sequence[np.ndarray], *, num_classes: int = 0
) -> tuple[str, ...]:
  """The classes of labels that nobody has named.

  Args:
    labels: of each split.
    num_classes: of integers; 0 counts up to the largest label.

  Returns:
    Texts in the order of their characters, or the numbers of the classes.
  """
  if any(each.dtype.kind in "UT" for each in labels):
    return tuple(sorted({str(text) for each in labels for text in each}))
  largest = max(int(each.max(initial=-1)) for each in labels)
  return tuple(str(number) for number in range(num_classes or largest + 1))


def number(
  labels: np.ndarray, *, class_names: tuple[str, ...], where: str
) -> np.ndarray:
  """Labels as the numbers of their classes.

  Args:
    labels: (n,) integers or text.
    class_names: that they must be among.
    where: they come from, for messages.

  Returns:
    (n,) int64.

  Raises:
    ValueError: neither integers nor text, or outside the classes.
  """
  if labels.dtype.kind in "UT":
    numbers = {name: number for number, name in enumerate(class_names)}
    unknown = sorted({str(text) for text in labels} - set(numbers))
    if unknown:
      raise ValueError(
        f"{where}: the labels {unknown[:5]} are none of the classes "
        f"{list(class_names[:20])}; correct labels or class_names"
      )
    return np.asarray([numbers[str(text)] for text in labels], np.int64)
  if not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f"{where}: labels are {labels.dtype}; expected integers, or text"
    )
  wrong = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
  if wrong.size:
    raise ValueError(
      f"{where}: label {labels[wrong[0]]} of example {wrong[0]} is outside the "
      f"{len(class_names)} classes 0..{len(class_names) - 1} ({wrong.size} "
      "such labels); correct labels, class_names or data.num_classes"
    )
  return labels.astype(np.int64)


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
  labels: Sequence[int] | Sequence[str] | np.ndarray,
  class_names: Sequence[str],
  count: int,
  where: str,
) -> tuple[np.ndarray, tuple[str, ...]]:
  """The labels as (count,) int64, and the names of the classes."""
  labels = np.asarray(labels)
  if labels.shape != (count,):
    raise ValueError(
      f"{where}: labels are {labels.dtype} of the shape {labels.shape}; "
      f"expected integers, or text, of the shape {(count,)}, one per image"
    )
  known = tuple(class_names) or name_classes([labels])
  return number(labels, class_names=known, where=where), known
