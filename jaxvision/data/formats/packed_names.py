"""Names of many examples, stored compactly as bytes.

As Python strings, a million names would need three times as much memory, and
loading or copying them into a process would take time for each string.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Names:
  """Concatenated names.

  Attributes:
    characters: (total,) uint8, in the encoding of the file system.
    ends: (n,) int64, the end of each name.
  """

  characters: np.ndarray
  ends: np.ndarray

  def __len__(self) -> int:
    return len(self.ends)

  def __getitem__(self, index: int) -> str:
    start = self.ends[index - 1] if index else 0
    return os.fsdecode(self.characters[start : self.ends[index]].tobytes())


def pack(names: Sequence[bytes]) -> Names:
  """Concatenates encoded names."""
  lengths = np.fromiter(map(len, names), np.int64, len(names))
  return Names(np.frombuffer(b"".join(names), np.uint8), np.cumsum(lengths))


def concatenate(parts: Sequence[Names]) -> Names:
  """Concatenates several lists of names."""
  starts = np.cumsum([0, *(len(each.characters) for each in parts)])
  pairs = zip(starts.tolist(), parts, strict=False)
  return Names(
    np.concatenate([each.characters for each in parts]),
    np.concatenate([start + each.ends for start, each in pairs]),
  )
