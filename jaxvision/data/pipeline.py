"""Batches as a pure function of the step.

Training: the examples of all epochs are lined up, each epoch in a new order,
and batch `step` takes `batch_size` of them from place `step * batch_size` on.
Batches may therefore straddle two epochs, and nothing is ever left out. The
order follows from (seed, epoch), the transforms of an example from (seed,
epoch, example), so that a run can go on from any step, with any number of
threads and processes, and see the same bytes.

Evaluation: the examples in their own order, once; the last batch is padded.
"""

import concurrent.futures
import dataclasses
import functools
import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np

from jaxvision.data import dataset as datasets
from jaxvision.data import decoding, examples, host_transforms

Batch = dict[str, np.ndarray]

_RESIDENT_BYTES = 2**32
# The first word of a seed, so that order and transforms never share one.
_ORDER, _TRANSFORM = 1, 2


@dataclasses.dataclass(frozen=True)
class Batches:
  """All batches of a split; made by `make_batches`.

  A batch is `{image (rows, h, w, c) uint8, label (rows,) int32, mask (rows,)
  float32}`. Rows of mask 0, padding and unreadable images, are zero.

  Attributes:
    examples: the decoded examples.
    transform: of one image.
    batch_size: examples in a batch, all processes together.
    seed: of the order and the transforms; None is evaluation.
    rows: the share of this process in every batch.
    threads: that make batches ahead of time; 0 makes them when asked for.
    image_shape: (h, w, c) after the transforms.
  """

  examples: examples.Examples
  transform: host_transforms.HostTransform
  batch_size: int
  seed: int | None
  rows: slice
  threads: int
  image_shape: tuple[int, int, int]

  @property
  def num_examples(self) -> int:
    return self.examples.dataset.num_examples

  @property
  def steps_per_epoch(self) -> float:
    """num_examples / batch_size, in general not a whole number."""
    return self.num_examples / self.batch_size

  @property
  def num_batches(self) -> int:
    """Batches that see every example at least once; exactly in evaluation."""
    return math.ceil(self.steps_per_epoch)

  @property
  def unreadable(self) -> dict[int, str]:
    """Index -> reason of the images found unreadable so far."""
    return self.examples.unreadable

  def indices(self, step: int) -> np.ndarray:
    """(batch_size,) int32: the examples of the whole batch.

    num_examples stands for padding, which is the last row of `resident()`.
    """
    return self._order(self._positions(step))[0].astype(np.int32)

  def at(self, step: int) -> Batch:
    """This process's rows of batch `step`."""
    return self._assemble(*self._order(self._positions(step)[self.rows]))

  def iterate(self, start: int, stop: int) -> Iterator[Batch]:
    """Batches `start` to `stop - 1`, made ahead of time by threads.

    Errors of the threads are raised here. Close it (contextlib.closing) if it
    is left before its end.
    """
    import grain

    # The elements are whole batches: by default Grain would hold 500 of them.
    options = grain.ReadOptions(
      num_threads=self.threads, prefetch_buffer_size=self.threads
    )
    source = grain.MapDataset.range(start, stop).map(self.at)
    iterator = iter(source.to_iter_dataset(options))
    try:
      yield from iterator
    finally:
      iterator.close()

  def resident(self) -> Batch:
    """The whole split and a last row of padding, to be kept on the device.

    Row i is example i, so that `resident()` at `indices(step)` is the batch.

    Raises:
      ValueError: the transforms are random, or it is larger than 4 GiB.
    """
    if self.transform.random:
      raise ValueError(
        "images that stay on the device cannot be transformed at random on "
        "the host; use data.device_transforms, or data.placement='host'"
      )
    size = self.num_examples * math.prod(self.image_shape)
    if size > _RESIDENT_BYTES:
      raise ValueError(
        f"the split needs {size / 2**30:.1f} GiB, more than the "
        f"{_RESIDENT_BYTES / 2**30:.0f} GiB that may stay on the device; set "
        "data.placement='host'"
      )
    every = np.arange(self.num_examples + 1)
    parts = np.array_split(every, math.ceil(len(every) / 1024))
    with concurrent.futures.ThreadPoolExecutor(max(1, self.threads)) as pool:
      batches = list(pool.map(self._assemble, parts, map(np.zeros_like, parts)))
    return {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}

  def _positions(self, step: int) -> np.ndarray:
    return step * self.batch_size + np.arange(self.batch_size)

  def _order(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices and epochs of the examples at these places of the line-up."""
    if self.seed is None:
      indices = np.minimum(positions, self.num_examples)
      return indices, np.zeros_like(indices)
    epochs, places = np.divmod(positions, self.num_examples)
    indices = np.empty_like(places)
    for epoch in np.unique(epochs).tolist():
      there = epochs == epoch
      order = _permutation(self.seed, epoch, self.num_examples)
      indices[there] = order[places[there]]
    return indices, epochs

  def _assemble(self, indices: np.ndarray, epochs: np.ndarray) -> Batch:
    images = np.zeros((len(indices), *self.image_shape), np.uint8)
    labels = np.zeros(len(indices), np.int32)
    mask = np.zeros(len(indices), np.float32)
    rows = np.flatnonzero(indices < self.num_examples).tolist()
    wanted = indices[rows].tolist()
    fetched = self.examples.fetch(wanted)
    for row, index, (image, label) in zip(rows, wanted, fetched, strict=True):
      if image is not None:
        images[row] = self._transformed(image, index, int(epochs[row]))
        labels[row], mask[row] = label, 1
    return {"image": images, "label": labels, "mask": mask}

  def _transformed(
    self, image: np.ndarray, index: int, epoch: int
  ) -> np.ndarray:
    if self.transform.transforms:
      rng = None
      if self.transform.random:
        rng = _generator(_TRANSFORM, self.seed, epoch, index)
      image = self.transform(rng, image)
    if image.shape != self.image_shape:
      raise ValueError(
        f"{self.examples.dataset.ids([index])[0]} is {image.shape} after the "
        f"transforms, other images of this split are {self.image_shape}; a "
        'batch needs one shape: add "resize(SIZE)", or "resize_small(SIZE)" '
        'and "center_crop(SIZE)", to the transforms'
      )
    return image


def make_batches(
  dataset: datasets.Dataset,
  *,
  batch_size: int,
  transforms: Sequence[str] = (),
  channels: int = 3,
  seed: int | None = None,
  rows: slice = slice(None),
  threads: int = 4,
  max_unreadable: float = 0.01,
) -> Batches:
  """Makes the batches of a split.

  Args:
    dataset: the split.
    batch_size: examples in a batch, all processes together.
    transforms: host transforms as text: ("resize(224)", "random_flip").
    channels: 3 for RGB, 1 for grey; for arrays, what they have.
    seed: of the order and the transforms, in [0, 2^32); None evaluates:
      in order, each example once, the last batch padded.
    rows: the share of this process, a slice of the batch.
    threads: that read and decode ahead; 0 does it when a batch is asked for.
    max_unreadable: the share of unreadable images that is tolerated.

  Raises:
    ValueError: random transforms in evaluation, a share of rows outside the
      batch, images of several shapes.
    UnreadableImage: no image at all, or too many, can be read.
  """
  transform = host_transforms.make_host_transform(transforms)
  if seed is None and transform.random:
    raise ValueError(
      f"transforms {tuple(transforms)} are random; evaluation must not be: "
      "use resize, resize_small and center_crop"
    )
  if seed is not None and not 0 <= seed < 2**32:
    raise ValueError(f"seed is {seed}; it must lie in [0, 2^32)")
  _check_sizes(dataset, batch_size, seed, rows)
  decoded = examples.Examples(dataset, channels, max_unreadable)
  return Batches(
    examples=decoded,
    transform=transform,
    batch_size=batch_size,
    seed=seed,
    rows=rows,
    threads=threads,
    image_shape=_image_shape(decoded, transform),
  )


def _check_sizes(
  dataset: datasets.Dataset, batch_size: int, seed: int | None, rows: slice
) -> None:
  if batch_size < 1:
    raise ValueError(f"batch size {batch_size}; it must be at least 1")
  if seed is not None and batch_size > dataset.num_examples:
    logging.getLogger(__name__).warning(
      "a batch of %d holds each of the %d examples of %r more than once",
      batch_size,
      dataset.num_examples,
      dataset.split,
    )
  if rows.step not in (None, 1) or (rows.stop or 0) > batch_size:
    raise ValueError(f"{rows} is not a share of a batch of {batch_size}")


def _image_shape(
  decoded: examples.Examples, transform: host_transforms.HostTransform
) -> tuple[int, int, int]:
  """The shape of the first readable image after the transforms."""
  for index in range(decoded.dataset.num_examples):
    image, _ = decoded.fetch([index])[0]
    if image is not None:
      rng = _generator(_TRANSFORM, 0, 0, 0) if transform.random else None
      return transform(rng, image).shape
  raise decoding.UnreadableImage(
    f"no image of {decoded.dataset.name} ({decoded.dataset.split}) is readable;"
    f" the first: {next(iter(decoded.unreadable.values()))}"
  )


# Batches of one epoch come one after the other, in several threads.
@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
  return _generator(_ORDER, seed, epoch).permutation(size)


def _generator(*words: int) -> np.random.Generator:
  return np.random.Generator(np.random.Philox(words))
