"""Pieces of files: the records of shards, read in any order.

A file is opened for each call and closed again. Nothing stays open, so that a
data set can be used by many threads, copied into other processes, and have
more shards than a process may have open files.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from jaxvision import files
from jaxvision.data.decoding import image_files


@dataclasses.dataclass(frozen=True)
class Extents:
  """Where each of n pieces lies.

  Attributes:
    paths: the files.
    files: (n,) int32, the number of the file of each piece.
    offsets: (n,) int64, its first byte.
    sizes: (n,) int64, its bytes.
  """

  paths: tuple[str, ...]
  files: np.ndarray
  offsets: np.ndarray
  sizes: np.ndarray

  def __len__(self) -> int:
    return len(self.files)

  def read(self, indices: Sequence[int]) -> list[bytes]:
    """The pieces, in the order of the indices.

    Raises:
      OSError: a file is gone, or ends before the piece does; a piece is larger
      than an image may be.
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
              f"{self.paths[file]} ends before byte {offset + size}, which it "
              "had when it was indexed; it was cut since"
            )
    return found
