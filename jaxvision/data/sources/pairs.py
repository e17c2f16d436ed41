"""Pairs of images and labels as a data set: arrays in memory, or image files.

Images in memory are (n, h, w, c) or (n, h, w), integers in 0..255. Labels are
(n,) integers from 0, or class names as text; or sets of classes as in
`label_sets`; or numbers as in `label_numbers`; or they are not read. The
order of the examples is fixed. It is stratified by the class, or by the rarest
class of each set, so slices of a split are stratified too. For numbers, and
without labels, it is a fixed shuffle.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import packed_names
from jaxvision.data.sources import (
  array_fields,
  image_fields,
  label_numbers,
  label_sets,
  labels,
  splits,
)

_COMPARED = 1 << 26  # bytes of images that tell arrays apart


@dataclasses.dataclass(frozen=True)
class _Arrays:
  """Images in memory, and the row of each example in `order`."""

  split: str
  images: np.ndarray
  labels: np.ndarray
  order: np.ndarray
  given: array_fields.Given

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [f"{self.split}/{self.order[index]}" for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

  def fields(self) -> dict[str, dataset.Field]:
    return array_fields.make(self.given, self.order)

  def content(self) -> bytes:
    """The bytes of the labels and pixels; for large arrays of some images."""
    size = self.images[:1].nbytes
    step = max(1, size * len(self.images) // _COMPARED)
    pixels = hashlib.sha256(f"{self.images.shape} {step}".encode())
    for image in self.images[::step]:
      pixels.update(np.ascontiguousarray(image))
    return self.labels.tobytes() + pixels.digest()

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    rows = self.order[np.asarray(indices, np.int64)]
    found = dataset.each_label(self.labels[rows])
    return list(zip(self.images[rows], found, strict=True))


@dataclasses.dataclass(frozen=True)
class _Files:
  """Files, and the row of each example in `order`."""

  paths: packed_names.Names
  labels: np.ndarray
  order: np.ndarray
  tables: tuple[pathlib.Path, ...]
  captions: np.ndarray | None

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self.paths[int(self.order[index])] for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

  def fields(self) -> dict[str, dataset.Field]:
    found = image_fields.load(self.ids, len(self.order), self.tables)
    if self.captions is None:
      return found
    given = {"caption": ("text", self.captions)}
    return found | array_fields.make(given, self.order)

  def content(self) -> bytes:
    return self.all_labels().tobytes()

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    rows = self.order[np.asarray(indices, np.int64)]
    contents = [image_files.read(self.paths[row]) for row in rows.tolist()]
    found = dataset.each_label(self.labels[rows])
    return list(zip(contents, found, strict=True))


def from_arrays(
  images: np.ndarray,
  labels: np.ndarray | None,
  *,
  class_names: Sequence[str] = (),
  name: str = "arrays",
  split: str = "train",
  label_kind: str = "classes",
  masks: np.ndarray | None = None,
  captions: Sequence[str] | np.ndarray | None = None,
) -> dataset.Dataset:
  """Images in memory as a data set.

  Args:
    images: (n, h, w, c) or (n, h, w), integers in 0..255.
    labels: see above.
    class_names: in the order of the labels; () for `labels.name_classes`.
    name: name of the data set, for messages.
    split: name of the split, for messages.
    label_kind: "classes", "sets", "numbers" or "none".
    masks, captions: fields, see `array_fields`.

  Raises:
    ValueError: an array has a wrong shape or type, or a label is outside the
      classes.
  """
  where = f"{name}, split {split!r}"
  images = _pixels(np.asarray(images), where)
  labels, known = _LABELLED[label_kind](
    labels, class_names, len(images), name=name, split=split
  )
  given = array_fields.check(images, masks, captions, where=where)
  rows = _Arrays(split, images, labels, _order(labels, label_kind), given)
  return _dataset(rows, name, split, known, label_kind)


def from_files(
  paths: Sequence[str | os.PathLike],
  labels: Sequence[Any] | np.ndarray | None,
  *,
  class_names: Sequence[str] = (),
  name: str = "files",
  split: str = "train",
  label_kind: str = "classes",
  tables: Sequence[pathlib.Path] = (),
  captions: Sequence[str] | None = None,
) -> dataset.Dataset:
  """Image files as a data set.

  Args:
    paths: paths of the files, which are opened when they are read.
    labels: one per file, see above.
    class_names, name, split, label_kind: as in `from_arrays`.
    tables: folders that may have a table of captions, see `image_fields`.
    captions: one text per file, which replaces them; None without it.

  Raises:
    ValueError: the numbers of labels and paths differ, or a label is outside
      the classes.
  """
  labels, known = _LABELLED[label_kind](
    labels,
    class_names,
    len(paths),
    name=name,
    split=split,
    locate=lambda row: os.fspath(paths[row]),
  )
  packed = packed_names.pack([os.fsencode(path) for path in paths])
  texts = None if captions is None else np.asarray(captions, np.object_)
  order = _order(labels, label_kind)
  rows = _Files(packed, labels, order, tuple(tables), texts)
  return _dataset(rows, name, split, known, label_kind)


def name_classes(
  given: Mapping[str, Any],
  *,
  label_kind: str,
  locate: labels.Locate,
  num_classes: int = 0,
) -> tuple[str, ...]:
  """The class names of all splits, if the data set does not provide them.

  Args:
    given: the labels of each split; classes as from `labels.unify`.
    label_kind: of the labels. For "numbers" and "none" the result is (): each
      number is named by its index, and images without labels have one class.
    locate: (split, row) -> the position of the label, for messages.
    num_classes: for labels that are class numbers; 0 uses the largest label.
  """
  if label_kind in ("numbers", "none"):
    return ()
  naming = labels if label_kind == "classes" else label_sets
  return naming.name_classes(given, locate=locate, num_classes=num_classes)


def _dataset(
  rows: _Arrays | _Files,
  name: str,
  split: str,
  class_names: tuple[str, ...],
  label_kind: str,
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
    label_kind=label_kind,
    fields=rows.fields,
  )


def _order(found: np.ndarray, label_kind: str) -> np.ndarray:
  if label_kind == "sets":
    return splits.stratified_order(label_sets.strata(found))
  if label_kind == "numbers":
    return splits.stratified_order(np.zeros(len(found), np.int64))
  return splits.stratified_order(found)


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


def _in_sets(
  given: Any,
  class_names: Sequence[str],
  count: int,
  *,
  name: str,
  split: str,
  locate: Callable[[int], str] = "example {}".format,
) -> tuple[np.ndarray, tuple[str, ...]]:
  """The labels as (count, k) uint8, and the names of the classes."""
  where = f"{name}, split {split!r}"
  _check_count(given, count, where)
  known = (
    labels.check_names(class_names, where=where)
    if len(class_names)
    else label_sets.name_classes(
      {split: given}, locate=lambda _, row: f"{where}, {locate(row)}"
    )
  )
  found = label_sets.indicators(
    given, class_names=known, where=where, locate=locate
  )
  return found, known


def _in_numbers(
  given: Any,
  class_names: Sequence[str],
  count: int,
  *,
  name: str,
  split: str,
  locate: Callable[[int], str] = "example {}".format,
) -> tuple[np.ndarray, tuple[str, ...]]:
  """The labels as (count, t) float32, and the names of the numbers."""
  where = f"{name}, split {split!r}"
  _check_count(given, count, where)
  found = label_numbers.columns(given, where=where, locate=locate)
  known = labels.check_names(
    class_names if len(class_names) else map(str, range(found.shape[1])),
    where=where,
  )
  label_numbers.check_names(known, found, where=where)
  return found, known


def _unlabelled(
  given: Any,
  class_names: Sequence[str],
  count: int,
  *,
  name: str,
  split: str,
  locate: Callable[[int], str] = "example {}".format,
) -> tuple[np.ndarray, tuple[str, ...]]:
  """(count,) int64 of -1, and the name of the one class."""
  del given, class_names, name, split, locate
  return np.full(count, -1, np.int64), dataset.UNLABELLED


def _check_count(given: Any, count: int, where: str) -> None:
  if not hasattr(given, "__len__") or len(given) != count:
    number = len(given) if hasattr(given, "__len__") else "none"
    raise ValueError(
      f"{where}: {number} labels for {count} images; give one for each image"
    )


_LABELLED = {
  "classes": _numbered,
  "none": _unlabelled,
  "numbers": _in_numbers,
  "sets": _in_sets,
}
