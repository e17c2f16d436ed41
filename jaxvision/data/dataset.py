"""One split of a data set, as all kinds of sources present it.

Examples are numbered 0 to num_examples - 1, always in the same order. Reading
takes many numbers at once, because sources on disk are faster that way.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

Example = tuple[bytes | np.ndarray, int]


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A split that can be read in any order, from many threads.

  Attributes:
    name: of the data set: "digits", or the path of the folder or file.
    split: what was asked for, such as "train[:80%]".
    class_names: the name of each label, in the order of the labels.
    num_examples: how many examples there are.
    ids: indices -> one name per example: its file, or "split/number".
    labels: () -> (num_examples,) int64, all labels; may read the whole split.
    read: indices -> (image, label) per example. The image is a file's content,
      or a (h, w, c) uint8 array. Raises OSError if a file cannot be read.
  """

  name: str
  split: str
  class_names: tuple[str, ...]
  num_examples: int
  ids: Callable[[Sequence[int]], list[str]]
  labels: Callable[[], np.ndarray]
  read: Callable[[Sequence[int]], list[Example]]


def join(parts: Sequence[tuple[Dataset, int, int]], *, split: str) -> Dataset:
  """Ranges of examples, one after the other, as one data set.

  Args:
    parts: (data set, first example, one past the last example); all of the
      same source.
    split: how the result is called.
  """
  counts = [stop - start for _, start, stop in parts]
  first = np.cumsum([0, *counts])

  def gather(fetch: str, indices: Sequence[int]) -> list:
    indices = np.asarray(indices, np.int64)
    owner = np.searchsorted(first, indices, side="right") - 1
    found = [None] * len(indices)
    for number in np.unique(owner):
      dataset, start, _ = parts[number]
      rows = np.flatnonzero(owner == number)
      wanted = (indices[rows] - first[number] + start).tolist()
      for row, each in zip(rows, getattr(dataset, fetch)(wanted), strict=True):
        found[row] = each
    return found

  return dataclasses.replace(
    parts[0][0],
    split=split,
    num_examples=sum(counts),
    ids=lambda indices: gather("ids", indices),
    labels=lambda: np.concatenate([d.labels()[i:j] for d, i, j in parts]),
    read=lambda indices: gather("read", indices),
  )
