"""The file with the logits of a split: (n, teachers, k) float32, as .npy.

It is written batch by batch and mapped into memory, so it may be larger than
the memory.
"""

import contextlib
import functools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from jaxvision import files
from jaxvision.processes import agreement


def write(
  path: pathlib.Path,
  batches: Iterable[np.ndarray],
  *,
  shape: tuple[int, int, int],
) -> None:
  """Writes the logits of a split as .npy, one batch at a time.

  Every process calls this function; the first one writes.

  Args:
    path: of the file; its folder must exist.
    batches: (teachers, b, k) float32, the last ones with rows of padding.
    shape: (n, teachers, k).
  """
  opened, left = [], shape[0]
  header = {"descr": "<f4", "fortran_order": False, "shape": shape}
  with contextlib.ExitStack() as stack:

    def start() -> None:
      opened.append(stack.enter_context(files.writing(path)))
      np.lib.format.write_array_header_1_0(opened[0], header)

    def add(rows: np.ndarray) -> None:
      opened[0].write(rows.astype("<f4").tobytes())

    agreement.first(start)
    for batch in batches:
      rows = batch.swapaxes(0, 1)[:left]
      agreement.first(functools.partial(add, rows))
      left -= len(rows)
    agreement.first(stack.close)


def read(path: pathlib.Path, indices: Sequence[int]) -> list[np.ndarray]:
  """The logits of examples, each (teachers, k) float32.

  Args:
    path: of the file.
    indices: of the examples in the split.
  """
  of_file = path.stat()
  version = of_file.st_ino, of_file.st_mtime_ns
  return list(_opened(path, version)[np.asarray(indices, np.int64)])


@functools.lru_cache(maxsize=8)
def _opened(path: pathlib.Path, version: tuple[int, int]) -> np.ndarray:
  """The array of a file, mapped into memory.

  Another version of the file has another inode or another modification time.
  """
  del version  # a part of the key of the cache
  return np.load(path, mmap_mode="r", allow_pickle=False)
