"""A million names in the memory of their characters.

As Python strings they would take three times as much, and each process that
loads or copies them would count every one.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Names:
  """Names one after the other.

  Attributes:
    characters: (total,) uint8, as file systems encode them.
    ends: (n,) int64, where each name ends.
  """

  characters: np.ndarray
  ends: np.ndarray

  def __len__(self) -> int:
    return len(self.ends)

  def __getitem__(self, index: int) -> str:
    start = self.ends[index - 1] if index else 0
    return os.fsdecode(self.characters[start : self.ends[index]].tobytes())


def pack(names: Sequence[bytes]) -> Names:
  """Names of already encoded text."""
  lengths = np.fromiter(map(len, names), np.int64, len(names))
  return Names(np.frombuffer(b"".join(names), np.uint8), np.cumsum(lengths))


def concatenate(parts: Sequence[Names]) -> Names:
  """The names of several, one after the other."""
  starts = np.cumsum([0, *(len(each.characters) for each in parts)])
  pairs = zip(starts.tolist(), parts, strict=False)
  return Names(
    np.concatenate([each.characters for each in parts]),
    np.concatenate([start + each.ends for start, each in pairs]),
  )
