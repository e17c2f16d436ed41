"""Byte ranges of files: the records of shards, read in any order.

Each call opens the files that it reads and closes them. No file stays open.
Therefore many threads can use a data set, it can be copied into other
processes, and it can have more shards than the limit of open files.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from jaxvision import files
from jaxvision.data.decoding import image_files


@dataclasses.dataclass(frozen=True)
class Extents:
  """The byte ranges of n records.

  Attributes:
    paths: the files.
    files: (n,) int32, the index of the file of each record.
    offsets: (n,) int64, the first byte of each record.
    sizes: (n,) int64, the number of bytes of each record.
  """

  paths: tuple[str, ...]
  files: np.ndarray
  offsets: np.ndarray
  sizes: np.ndarray

  def __len__(self) -> int:
    return len(self.files)

  def read(self, indices: Sequence[int]) -> list[bytes]:
    """Reads records in the order of the indices.

    Raises:
      OSError: a file does not exist, or ends before the end of a record; or a
        record is too large for an image.
    """
    indices = np.asarray(indices, np.int64)
    numbers = self.files[indices]
    found = [b""] * len(indices)
    for file in np.unique(numbers).tolist():
      rows = np.flatnonzero(numbers == file)
      pieces = zip(
        rows.tolist(),
        self.offsets[indices[rows]].tolist(),
        self.sizes[indices[rows]].tolist(),
        strict=True,
      )
      with files.open_regular(self.paths[file]) as opened:
        for row, offset, size in pieces:
          image_files.check_bytes(size, self.paths[file])
          found[row] = os.pread(opened.fileno(), size, offset)
          if len(found[row]) < size:
            raise OSError(
              f"{self.paths[file]} ends before byte {offset + size}: it has "
              "been truncated since it was indexed; restore the file"
            )
    return found
