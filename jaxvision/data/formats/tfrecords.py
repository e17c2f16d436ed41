"""TFRecord files: where their records lie, found without TensorFlow.

A record is its length (uint64, little endian), a checksum of the length
(uint32), the data, and a checksum of the data (uint32); the checksums are
masked CRC-32C (tensorflow/core/lib/io/record_writer.h). There is no list of
records, so that all lengths are walked once. Their checksums are verified
then; those of the data are not, because images that are damaged are found by
those who decode them.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxvision import files
from jaxvision.data.batches import prefetch
from jaxvision.data.formats import byte_ranges, index_file

_HEAD = np.dtype([("length", "<u8"), ("checksum", "<u4")])
_HEAD_BYTES, _TAIL_BYTES = 12, 4
# Files on disks and networks that answer late are walked side by side.
_THREADS = 16
_CASTAGNOLI = 0x82F63B78


def locate(
  paths: Sequence[pathlib.Path], *, counts: Sequence[int], name: str
) -> byte_ranges.Extents:
  """The records of shards, from an index that is made once.

  Args:
    paths: of the shards, all in one directory.
    counts: how many records each must have.
    name: of the index, kept in that directory.

  Raises:
    FileNotFoundError: a shard is missing.
    ValueError: a shard is cut or damaged, or has another number of records.
  """
  arrays = index_file.load(
    paths[0].parent, name, of=paths, build=lambda: _walk_all(paths)
  )
  found = np.bincount(arrays["files"], minlength=len(paths))
  for path, count, each in zip(paths, counts, found.tolist(), strict=True):
    if each != count:
      raise ValueError(
        f"{path} has {each} records, its data set names {count}; copy the "
        "file again from where it was made"
      )
  return byte_ranges.Extents(paths=tuple(map(os.fspath, paths)), **arrays)


def masked_crc32c(words: np.ndarray) -> np.ndarray:
  """The checksum of TFRecord of each row, (n,) uint32.

  Args:
    words: (n, bytes) uint8.
  """
  table = _table()
  crc = np.full(len(words), 0xFFFFFFFF, np.uint32)
  for column in words.T:
    crc = table[(crc ^ column) & 0xFF] ^ (crc >> 8)
  crc = ~crc
  return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)


def _table() -> np.ndarray:
  """CRC-32C of each byte."""
  table = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    table = np.where(table & 1, (table >> 1) ^ _CASTAGNOLI, table >> 1)
  return table.astype(np.uint32)


def _walk_all(paths: Sequence[pathlib.Path]) -> index_file.Arrays:
  lengths = list(prefetch.make_ahead(_walk, paths, threads=_THREADS))
  counts = [len(each) for each in lengths]
  return {
    "files": np.repeat(np.arange(len(paths), dtype=np.int32), counts),
    "offsets": np.concatenate([_starts(each)[:-1] for each in lengths])
    + _HEAD_BYTES,
    "sizes": np.concatenate(lengths),
  }


def _walk(path: pathlib.Path) -> np.ndarray:
  """(n,) int64, the lengths of the records of one file."""
  heads, position = [], 0
  with files.open_regular(path) as opened:
    descriptor = opened.fileno()
    size = os.fstat(descriptor).st_size
    while position < size:
      head = os.pread(descriptor, _HEAD_BYTES, position)
      heads.append(head)
      # Early, or another kind of file is walked to its end in tiny steps, and
      # zeros without end pass for records of no length.
      if len(heads) & len(heads) - 1 == 0 and len(head) == _HEAD_BYTES:
        _check(path, np.frombuffer(b"".join(heads), _HEAD))
      length = int.from_bytes(head[:8], "little")
      position += _HEAD_BYTES + length + _TAIL_BYTES
  if heads and len(heads[-1]) < _HEAD_BYTES:
    raise _cut(path, size, len(heads) - 1)
  whole = np.frombuffer(b"".join(heads), _HEAD)
  _check(path, whole)
  if position != size:
    raise _cut(path, size, len(heads) - 1)
  return whole["length"].astype(np.int64)


def _check(path: pathlib.Path, heads: np.ndarray) -> None:
  words = heads["length"].copy().view(np.uint8).reshape(-1, 8)
  wrong = np.flatnonzero(masked_crc32c(words) != heads["checksum"])
  if wrong.size:
    before = heads["length"][: wrong[0]].astype(np.int64)
    raise ValueError(
      f"{path} is damaged, or no TFRecord file: the length of record "
      f"{wrong[0]}, at byte {_starts(before)[-1]}, does not have its checksum; "
      "copy the file again from where it was made"
    )


def _starts(lengths: np.ndarray) -> np.ndarray:
  """(n + 1,) int64: where each record starts, and where the last one ends."""
  return np.cumsum([0, *(lengths + _HEAD_BYTES + _TAIL_BYTES)])


def _cut(path: pathlib.Path, size: int, record: int) -> ValueError:
  return ValueError(
    f"{path} is cut: it ends at byte {size}, in the middle of record {record}; "
    "copy the file again from where it was made"
  )
