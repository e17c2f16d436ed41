"""An open file of named arrays; an array is read at its access.

Shapes and types are known before any array is read, so a file that claims to be
larger than the network costs no memory.
"""

import dataclasses
import math
import mmap
import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

_BLOCK = 1 << 24  # bytes that are read before their memory is released


class Refused(ValueError):
  """The file is intact, but is of a kind that is not read."""


@dataclasses.dataclass(frozen=True)
class Entry:
  """An array as the file describes it.

  Attributes:
    shape: shape of the array.
    dtype: type of its elements.
    read: checks and returns the array; raises ValueError if it is damaged.
    check: raises ValueError for a damaged array, with little memory.
    forget: releases the memory of the array; it can be read again.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  read: Callable[[], np.ndarray]
  check: Callable[[], None]
  forget: Callable[[], None]

  @property
  def ndim(self) -> int:
    """Number of axes."""
    return len(self.shape)

  @property
  def size(self) -> int:
    """Number of elements."""
    return math.prod(self.shape)


class _Arrays(Mapping):
  """The arrays of a file by name, read at each access."""

  def __init__(self, entries: Mapping[str, Entry]):
    self._entries = entries

  def __getitem__(self, name: str) -> np.ndarray:
    return self._entries[name].read()

  def __iter__(self) -> Iterator[str]:
    return iter(self._entries)

  def __len__(self) -> int:
    return len(self._entries)


@dataclasses.dataclass(frozen=True)
class ArrayFile:
  """An open file.

  Attributes:
    path: path of the file.
    entries: {name: entry}.
    notes: {name: text} of the file's metadata.
    parts: names of nested dicts of arrays, such as "model" or "model.encoder";
      the names of their arrays start with it and a dot.
    lists: names of lists whose arrays are not among the entries.
  """

  path: pathlib.Path
  entries: dict[str, Entry]
  notes: dict[str, str]
  parts: tuple[str, ...] = ()
  lists: tuple[str, ...] = ()

  @property
  def arrays(self) -> Mapping[str, np.ndarray]:
    """The arrays, read at each access; views of the mapping if possible."""
    return _Arrays(self.entries)

  def check(self) -> None:
    """Raises a ValueError if the content of an array is damaged."""
    for entry in self.entries.values():
      entry.check()
      entry.forget()

  def forget(self, name: str) -> None:
    """Releases the memory of an array; the array can be read again."""
    self.entries[name].forget()


def forget(mapping: mmap.mmap, offset: int, length: int) -> None:
  """Releases the memory of a part of a mapping."""
  start = offset // mmap.PAGESIZE * mmap.PAGESIZE
  if length:
    mapping.madvise(mmap.MADV_DONTNEED, start, offset + length - start)


def blocks(mapping: mmap.mmap, offset: int, length: int) -> Iterator[bytes]:
  """Yields a part of a mapping in blocks, and releases their memory."""
  view = memoryview(mapping)
  for start in range(offset, offset + length, _BLOCK):
    end = min(start + _BLOCK, offset + length)
    yield view[start:end]
    forget(mapping, start, end - start)


def view(
  mapping: mmap.mmap, offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
  """Returns the array at an offset of a mapping."""
  return np.frombuffer(mapping, dtype, math.prod(shape), offset).reshape(shape)


def nothing() -> None:
  """The check of an array without checksum; releases no memory."""
