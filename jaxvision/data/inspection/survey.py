"""Surveys: one pass over the images of a split, with measurements of each."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import time

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.decoding import profiles, unreadable


@dataclasses.dataclass(frozen=True)
class Survey:
  """The measurements of n images.

  Attributes:
    split: the examined split.
    labels: (num_examples,) int64, of all examples.
    indices: (n,) int64, the examples that were read.
    sizes: (n, 2) int64, height and width in pixels; 0 if unreadable.
    hashes: (n,) S16, of the file or the pixels.
    num_bytes: (n,) int64, of the file or the pixels.
    unreadable: id -> reason.
    broken_profiles: ids of images with a damaged colour profile.
    seconds: time for reading and decoding.
  """

  split: dataset.Dataset
  labels: np.ndarray
  indices: np.ndarray
  sizes: np.ndarray
  hashes: np.ndarray
  num_bytes: np.ndarray
  unreadable: dict[str, str]
  seconds: float
  broken_profiles: tuple[str, ...] = ()


def make_survey(
  split: dataset.Dataset, *, most: int | None, channels: int, threads: int
) -> Survey:
  """Reads and decodes images, evenly spaced over the split.

  Args:
    split: a split.
    most: maximum number of images; None reads all.
    channels: of the decoded images, 3 or 1.
    threads: number of threads that read.
  """
  count = min(most or split.num_examples, split.num_examples)
  indices = np.linspace(0, split.num_examples - 1, count).astype(np.int64)
  look = functools.partial(_look, split, channels)
  start = time.perf_counter()
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    seen = list(pool.map(look, indices.tolist(), chunksize=16))
  seconds = time.perf_counter() - start
  reasons = [each[3] for each in seen]
  broken = indices[[each[4] for each in seen]].tolist()
  wrong = [i for i, reason in zip(indices, reasons, strict=True) if reason]
  return Survey(
    split=split,
    labels=split.labels(),
    indices=indices,
    sizes=np.asarray([size for size, *_ in seen], np.int64).reshape(-1, 2),
    hashes=np.asarray([each[1] for each in seen], "S16"),
    num_bytes=np.asarray([each[2] for each in seen], np.int64),
    unreadable=dict(zip(split.ids(wrong), filter(None, reasons), strict=True)),
    seconds=seconds,
    broken_profiles=tuple(split.ids(broken)),
  )


def _look(
  split: dataset.Dataset, channels: int, index: int
) -> tuple[tuple[int, int], bytes, int, str, bool]:
  """(size, hash, bytes, reason if unreadable, damaged profile) of one image."""
  try:
    ((image, _),) = split.read([index])
  except (OSError, MemoryError) as error:
    return (0, 0), bytes(16), 0, str(unreadable.from_failure(error)), False
  content = image if isinstance(image, bytes) else image.tobytes()
  digest = hashlib.blake2b(content, digest_size=16).digest()
  broken = isinstance(image, bytes) and profiles.is_broken(image)
  size, reason = (0, 0), ""
  try:
    if isinstance(image, bytes):
      image = decoding.decode(image, channels=channels)
    size = image.shape[:2]
  except decoding.UnreadableImage as error:
    reason = str(error)
  return size, digest, len(content), reason, broken
