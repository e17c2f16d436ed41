"""Storages and tensors of torch, as a file describes them.

A storage is a row of numbers in the file. A tensor is a view of a storage: a
type, an offset, a shape and strides. No number is read here. Bounds are checked
here, because a file can state any number.
"""

import dataclasses
import math
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np

_MOST_AXES = 32  # numpy 1 has 32, and numpy 2 has 64
_LARGEST = 1 << 62


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
  """A row of numbers, or a part of one.

  Attributes:
    key: its name in the file.
    dtype: type of its elements.
    size: number of elements.
    start: index of its first element in the row.
  """

  key: str
  dtype: np.dtype
  size: int
  start: int = 0

  @property
  def nbytes(self) -> int:
    """Bytes of the elements."""
    return self.size * self.dtype.itemsize


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
  """A view of a storage.

  Attributes:
    key: name of the storage in the file.
    dtype: type of its elements.
    offset: bytes from the start of the row to the first element.
    shape: shape.
    strides: bytes between neighbours, per axis; 0 for one element or none.
    length: bytes from the first element to the end of the last one.
  """

  key: str
  dtype: np.dtype
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]
  length: int


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
  """The bytes of a storage.

  Attributes:
    buffer: returns the mapped file, or the decompressed bytes.
    start: offset of the first byte in the buffer.
    size: number of bytes.
    is_mapped: whether the buffer is the mapped file.
    check: raises ValueError if the bytes are damaged.
  """

  buffer: Callable[[], mmap.mmap | bytes]
  start: int
  size: int
  is_mapped: bool
  check: Callable[[], None]


def naturals(values: Any, role: str) -> tuple[int, ...]:
  """Returns a tuple of natural numbers, or raises ValueError."""
  if type(values) is not tuple or not all(
    type(each) is int and 0 <= each < _LARGEST for each in values
  ):
    raise ValueError(f"its pickle has a {role} that is not a natural number")
  return values


def view(
  storage: Storage, offset: Any, shape: Any, strides: Any, dtype: np.dtype
) -> Tensor:
  """Returns a tensor inside its storage.

  Args:
    storage: the storage.
    offset: index of the first element in the storage.
    shape: shape.
    strides: elements between neighbours, per axis.
    dtype: type of the elements.

  Raises:
    ValueError: an element is outside of the storage, or the shape is too large.
  """
  (offset,) = naturals((offset,), "offset of a tensor")
  shape, strides = naturals(shape, "shape"), naturals(strides, "stride")
  if len(shape) != len(strides) or len(shape) > _MOST_AXES:
    raise ValueError(
      f"a tensor has {len(shape)} axes and {len(strides)} strides; at most "
      f"{_MOST_AXES} axes are allowed"
    )
  if math.prod(filter(None, shape)) * dtype.itemsize >= _LARGEST:
    raise ValueError(f"a tensor has the shape {shape}, which is too large")
  strides = tuple(
    step if count > 1 and 0 not in shape else 0
    for count, step in zip(shape, strides, strict=True)
  )
  last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
  count = 0 if 0 in shape else last + 1
  if (offset + count) * dtype.itemsize > storage.nbytes:
    raise ValueError(
      f"a tensor with the shape {shape} exceeds its storage of "
      f"{storage.nbytes:,} bytes"
    )
  return Tensor(
    storage.key,
    dtype,
    storage.start * storage.dtype.itemsize + offset * dtype.itemsize,
    shape,
    tuple(step * dtype.itemsize for step in strides),
    count * dtype.itemsize,
  )
