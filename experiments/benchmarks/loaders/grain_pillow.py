"""Grain with Pillow, in processes."""

import pathlib
import sys
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags

from loaders import pillow


def batches(
  folder: pathlib.Path, *, batch_size: int, workers: int
) -> Iterator[np.ndarray]:
  """Yields (b, 224, 224, 3) uint8.

  Args:
    folder: of a directory per class.
    batch_size: b.
    workers: processes; 0 means this process.
  """
  flags.FLAGS(sys.argv[:1])  # Grain's processes need parsed flags
  dataset = (
    grain.MapDataset.source(sorted(map(str, folder.glob("*/*.jpg"))))
    .shuffle(seed=0)
    .repeat()
    .random_map(_image, seed=0)
    .batch(batch_size)
  )
  # By default 16 threads hold 500 batches.
  read = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
  iterable = dataset.to_iter_dataset(read)
  if workers:
    iterable = iterable.mp_prefetch(
      grain.MultiprocessingOptions(
        num_workers=workers, per_worker_buffer_size=2
      )
    )
  yield from iterable


def _image(file: str, rng: np.random.Generator) -> np.ndarray:
  return np.asarray(pillow.augmented(file, rng))
