"""jaxvision: a folder of images, in threads or in worker processes."""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from jaxvision import data


def batches(
  folder: pathlib.Path, *, batch_size: int, workers: int, by: str = "processes"
) -> Iterator[dict[str, Any]]:
  """Yields {image (b, 224, 224, 3) uint8, label, mask}.

  Args:
    folder: of a directory per class.
    batch_size: b.
    workers: number of threads or processes.
    by: "threads" or "processes".
  """
  source = data.Source(kind="folder", name=str(folder))
  made = data.make_batches(
    data.open_dataset(source, "train"),
    batch_size=batch_size,
    transforms=("random_resized_crop(224)", "random_flip"),
    seed=0,
    threads=workers if by == "threads" else 0,
    workers=workers if by == "processes" else 0,
  )
  yield from made.iterate(0, sys.maxsize)
