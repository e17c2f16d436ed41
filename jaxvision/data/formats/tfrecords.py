"""TFRecord files: the byte ranges of their records, found without TensorFlow.

A record is its length (uint64, little endian), a checksum of the length
(uint32), the data, and a checksum of the data (uint32). The checksums are
masked CRC-32C (tensorflow/core/lib/io/record_writer.h). The format has no list
of records, so all lengths are read once. The checksums of the lengths are
verified. Those of the data are not verified, because the decoder detects
damaged images.
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
# Files are scanned in parallel, because disks and networks have latency.
_THREADS = 16
_CASTAGNOLI = 0x82F63B78


def locate(
  paths: Sequence[pathlib.Path], *, counts: Sequence[int], name: str
) -> byte_ranges.Extents:
  """The records of shards, from an index that is computed once.

  Args:
    paths: of the shards, all in one directory.
    counts: the expected number of records of each shard.
    name: of the index, stored in that directory.

  Raises:
    FileNotFoundError: a shard is missing.
    ValueError: a shard is truncated or damaged, or has another number of
      records.
  """
  arrays = index_file.load(
    paths[0].parent, name, of=paths, build=lambda: _scan_all(paths)
  )
  found = np.bincount(arrays["files"], minlength=len(paths))
  for path, count, each in zip(paths, counts, found.tolist(), strict=True):
    if each != count:
      raise ValueError(
        f"{path} has {each} records, but its data set expects {count}; copy "
        "the file again from its source"
      )
  return byte_ranges.Extents(paths=tuple(map(os.fspath, paths)), **arrays)


def masked_crc32c(words: np.ndarray) -> np.ndarray:
  """The TFRecord checksum of each row, (n,) uint32.

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
  """The CRC-32C of each byte value."""
  table = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    table = np.where(table & 1, (table >> 1) ^ _CASTAGNOLI, table >> 1)
  return table.astype(np.uint32)


def _scan_all(paths: Sequence[pathlib.Path]) -> index_file.Arrays:
  lengths = list(prefetch.make_ahead(_scan, paths, threads=_THREADS))
  counts = [len(each) for each in lengths]
  return {
    "files": np.repeat(np.arange(len(paths), dtype=np.int32), counts),
    "offsets": np.concatenate([_starts(each)[:-1] for each in lengths])
    + _HEAD_BYTES,
    "sizes": np.concatenate(lengths),
  }


def _scan(path: pathlib.Path) -> np.ndarray:
  """(n,) int64, the lengths of the records of one file."""
  heads, position = [], 0
  with files.open_regular(path) as opened:
    descriptor = opened.fileno()
    size = os.fstat(descriptor).st_size
    while position < size:
      head = os.pread(descriptor, _HEAD_BYTES, position)
      heads.append(head)
      # Check early. Otherwise a file of another format would be scanned to its
      # end in small steps, and zeros would be accepted as empty records.
      if len(heads) & len(heads) - 1 == 0 and len(head) == _HEAD_BYTES:
        _check(path, np.frombuffer(b"".join(heads), _HEAD))
      length = int.from_bytes(head[:8], "little")
      position += _HEAD_BYTES + length + _TAIL_BYTES
  if heads and len(heads[-1]) < _HEAD_BYTES:
    raise _truncated(path, size, len(heads) - 1)
  whole = np.frombuffer(b"".join(heads), _HEAD)
  _check(path, whole)
  if position != size:
    raise _truncated(path, size, len(heads) - 1)
  return whole["length"].astype(np.int64)


def _check(path: pathlib.Path, heads: np.ndarray) -> None:
  words = heads["length"].copy().view(np.uint8).reshape(-1, 8)
  wrong = np.flatnonzero(masked_crc32c(words) != heads["checksum"])
  if wrong.size:
    before = heads["length"][: wrong[0]].astype(np.int64)
    raise ValueError(
      f"{path} is damaged or is not a TFRecord file: the length of record "
      f"{wrong[0]}, at byte {_starts(before)[-1]}, does not match its "
      "checksum; copy the file again from its source"
    )


def _starts(lengths: np.ndarray) -> np.ndarray:
  """(n + 1,) int64: the start of each record, and the end of the last one."""
  return np.cumsum([0, *(lengths + _HEAD_BYTES + _TAIL_BYTES)])


def _truncated(path: pathlib.Path, size: int, record: int) -> ValueError:
  return ValueError(
    f"{path} is truncated: it ends at byte {size}, in the middle of record "
    f"{record}; copy the file again from its source"
  )
