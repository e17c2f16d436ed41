"""Batches as a pure function of the step.

Training: the examples of all epochs form one sequence, each epoch in a new
order. Batch `step` contains the `batch_size` examples from position `step *
batch_size`. A batch may contain the end of one epoch and the start of the next,
and no example is dropped. The order follows from (seed, epoch), and the
transforms of an example from (seed, epoch, example). So a run can resume from
any step, with any number of threads, workers and processes, and gets identical
bytes.

Evaluation: the examples in their own order, once; the last batch is padded.
"""

import collections
import contextlib
import dataclasses
import logging
import math
import types
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxvision.data import dataset as datasets
from jaxvision.data.batches import (
  examples,
  fields,
  filling,
  order,
  pairing,
  prefetch,
  sampling_groups,
  worker_processes,
)
from jaxvision.data.decoding import unreadable
from jaxvision.data.transforms import host

Batch = filling.Batch

_RESIDENT_BYTES = 2**32
_BLOCK = 1024  # resident examples that a thread decodes in one call


@dataclasses.dataclass(frozen=True)
class Batches:
  """All batches of a split; created by `make_batches`.

  A batch is `{image (rows, h, w, c) uint8, label (rows,) int32, mask (rows,)
  float32}`. If labels are sets of classes, the label is (rows, k) uint8 of 0
  and 1; if they are numbers, it is (rows, t) float32. Rows with mask 0 are
  zero: padding and, in evaluation, unreadable images. In training, unreadable
  images are replaced, see filling.py. `with_fields` adds what a task asks for,
  see fields.py.

  Attributes:
    examples: the transformed examples.
    batch_size: number of examples in a batch, over all processes.
    seed: of the order and the transforms; None is evaluation.
    rows: the rows of this process in every batch.
    threads: number of threads that prefetch batches; 0 makes them on demand.
    workers: number of processes that replace the threads; 0 uses threads.
    image_shape: (h, w, c) after the transforms.
    groups: the examples of each class, (n_i,) int64, which training draws
      equally often; () draws each example equally often.
    partners: of the examples, if the task asks for the field "partner".
  """

  examples: examples.Examples
  batch_size: int
  seed: int | None
  rows: slice | np.ndarray
  threads: int
  workers: int
  image_shape: tuple[int, int, int]
  groups: tuple[np.ndarray, ...] = ()
  partners: pairing.Partners | None = None

  @property
  def num_examples(self) -> int:
    return self.examples.dataset.num_examples

  @property
  def steps_per_epoch(self) -> float:
    """num_examples / batch_size, in general not an integer."""
    return self.num_examples / self.batch_size

  @property
  def num_batches(self) -> int:
    """Number of batches that contain every example; each once in evaluation."""
    return math.ceil(self.steps_per_epoch)

  @property
  def unreadable(self) -> dict[int, str]:
    """Index -> reason of the unreadable images found so far."""
    return self.examples.unreadable

  def with_fields(
    self,
    wanted: fields.Wanted,
    encode: Mapping[str, fields.Encode] = types.MappingProxyType({}),
  ) -> "Batches":
    """The same batches with the fields that a task asks for.

    Args:
      wanted: the fields of a batch of the task; of those beside image, label
        and mask, masks are moved with their images, texts are encoded, and
        "partner" is another image of the class.
      encode: field name -> function text -> array of the wanted shape and type.

    Raises:
      ValueError: the data do not have a field, or have it in another form; a
        host transform cannot move a mask; a class has no pair.
    """
    if pairing.FIELD in wanted and self.partners is None:
      made = pairing.make(self.examples.dataset)
      paired = dataclasses.replace(self, partners=made)
      return paired.with_fields(wanted, encode)
    asked = fields.ask(self.examples.dataset, wanted, encode)
    if self.examples.transform.needs_mask:
      asked = fields.with_foreground(self.examples.dataset, asked)
    if asked == self.examples.fields:
      return self
    transform = self.examples.transform
    if any(each.kind == "mask" for each in asked):
      transform = transform.with_moves()
    changed = dataclasses.replace(
      self.examples, fields=asked, transform=transform, cache={}
    )
    return dataclasses.replace(self, examples=changed)

  def indices(self, step: int) -> np.ndarray:
    """(batch_size,) int32: the examples of the complete batch.

    num_examples means padding, which is the last row of `resident()`.
    """
    return self._order(self._positions(step))[0].astype(np.int32)

  def line_up(self, start: int, stop: int) -> np.ndarray:
    """(stop - start, batch_size) int32: `indices` of several steps.

    If the batches have partners, (stop - start, batch_size, 2): the examples
    and their partners.
    """
    positions = np.arange(start * self.batch_size, stop * self.batch_size)
    indices, _ = self._order(positions)
    shape = (-1, self.batch_size)
    if self.partners:
      drawn = self.partners.draw(indices, positions, seed=self.seed)
      indices, shape = np.stack([indices, drawn], -1), (*shape, 2)
    return indices.astype(np.int32).reshape(shape)

  def at(self, step: int) -> Batch:
    """The rows of batch `step` that belong to this process."""
    batch = filling.empty(self._layout(self._rows()))
    self.examples.count(self.fill(step, slice(None), batch))
    return batch

  def fill(self, step: int, rows: slice, batch: Batch) -> dict[int, str]:
    """Writes a part of batch `step`.

    Args:
      step: the batch.
      rows: the part, relative to the rows of this process.
      batch: the arrays of all rows of this process.

    Returns:
      index -> reason of the unreadable images that were found.
    """
    positions = self._positions(step)[self.rows][rows]
    indices, epochs = self._order(positions)
    part = {name: array[rows] for name, array in batch.items()}
    own = {k: v for k, v in part.items() if k != pairing.FIELD}
    found = filling.fill(
      own,
      self.examples,
      indices=indices,
      epochs=epochs,
      seed=self.seed,
      partners=self.partners,
    )
    if not self.partners:
      return found
    drawn = self.partners.draw(indices, positions, seed=self.seed)
    return found | filling.fill_partners(
      part,
      self.examples,
      indices=drawn,
      epochs=pairing.epochs(positions),
      seed=self.seed,
      partners=self.partners,
    )

  def iterate(self, start: int, stop: int) -> Iterator[Batch]:
    """Yields batches `start` to `stop - 1`, with prefetching.

    Errors of threads and workers are raised here. Close the iterator
    (contextlib.closing) if it is not exhausted. Workers start with each
    iteration, which takes about a second, and end with it.
    """
    steps = range(start, stop)
    if not self.workers:
      yield from prefetch.make_ahead(self.at, steps, threads=self.threads)
      return
    # Each worker has its own cache and its own count of unreadable images.
    fresh = dataclasses.replace(self.examples, unreadable={}, cache={})
    made = worker_processes.fill_ahead(
      dataclasses.replace(self, examples=fresh).fill,
      steps,
      layout=self._layout(self._rows()),
      workers=self.workers,
    )
    with contextlib.closing(made):
      for batch, found in made:
        for unreadable in found:
          self.examples.count(unreadable)
        yield batch

  def resident(self, rows: np.ndarray | None = None) -> Batch:
    """The complete split and a last row of padding, to keep on the device.

    Row i is example i, so `resident()` at `indices(step)` is the batch, without
    the partners.

    Args:
      rows: (n,) the requested rows; None is all rows.

    Raises:
      ValueError: as `check_resident`.
    """
    self.check_resident()
    return self.read(np.arange(self.num_examples + 1) if rows is None else rows)

  def read(self, rows: np.ndarray) -> Batch:
    """The examples with these indices (n,), without their partners.

    num_examples means padding.
    """
    kept = filling.empty(self._stored(len(rows)))

    def add(start: int) -> None:
      part = slice(start, start + _BLOCK)
      found = filling.fill(
        {name: array[part] for name, array in kept.items()},
        self.examples,
        indices=rows[part],
        epochs=np.zeros_like(rows[part]),
        seed=self.seed,
        partners=self.partners,
      )
      self.examples.count(found)

    starts = range(0, len(rows), _BLOCK)
    collections.deque(
      prefetch.make_ahead(add, starts, threads=self.threads), maxlen=0
    )
    return kept

  def check_resident(self) -> None:
    """Checks that the split can be kept on the device.

    Raises:
      ValueError: the transforms are random, or the split exceeds 4 GiB.
    """
    if self.examples.transform.random:
      raise ValueError(
        "images that are kept on the device cannot have random host "
        "transforms; use data.device_transforms, or data.placement='host'"
      )
    size = self.num_examples * sum(
      math.prod(shape) * np.dtype(kind).itemsize
      for name, (shape, kind) in self._stored(1).items()
      if name not in ("label", "mask")
    )
    if size > _RESIDENT_BYTES:
      raise ValueError(
        f"the split needs {size / 2**30:.1f} GiB, more than the limit of "
        f"{_RESIDENT_BYTES / 2**30:.0f} GiB for data on the device; set "
        "data.placement='host'"
      )

  def _rows(self) -> int:
    """Rows of this process in a batch."""
    return len(self._positions(0)[self.rows])

  def _layout(self, rows: int) -> filling.Layout:
    """The arrays of a batch."""
    stored = self._stored(rows)
    paired = {pairing.FIELD: stored["image"]} if self.partners else {}
    return {**stored, **paired}

  def _stored(self, rows: int) -> filling.Layout:
    """The arrays of examples."""
    return filling.layout(rows, self.image_shape, self.examples)

  def _positions(self, step: int) -> np.ndarray:
    return step * self.batch_size + np.arange(self.batch_size)

  def _order(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices and epochs of the examples at these positions."""
    if self.seed is None:
      indices = np.minimum(positions, self.num_examples)
      return indices, np.zeros_like(indices)
    if self.groups:
      return order.balanced_line_up(
        positions, seed=self.seed, groups=self.groups
      )
    parts = self.examples.dataset.mixture or ((self.num_examples, 1.0),)
    return order.line_up(positions, seed=self.seed, parts=parts)


def make_batches(
  dataset: datasets.Dataset,
  *,
  batch_size: int,
  transforms: Sequence[str] = (),
  channels: int = 3,
  seed: int | None = None,
  rows: slice | np.ndarray = slice(None),
  threads: int = 4,
  workers: int = 0,
  max_unreadable: float = 0.01,
  max_pixels: int = unreadable.MAX_PIXELS,
  sampling: str = "uniform",
) -> Batches:
  """Makes the batches of a split.

  Args:
    dataset: the split.
    batch_size: number of examples in a batch, over all processes.
    transforms: host transforms as text: ("resize(224)", "random_flip").
    channels: 3 for RGB, 1 for grey; for arrays, their number of channels.
    seed: of the order and the transforms, in [0, 2^32). None is evaluation: in
      order, each example once, the last batch padded.
    rows: the rows of this process, as a slice of the batch or as indices.
    threads: number of threads that prefetch; 0 makes batches on demand.
    workers: number of processes that replace the threads; 0 uses threads.
    max_unreadable: maximum fraction of unreadable images.
    max_pixels: maximum number of pixels of an image before its transforms.
    sampling: "uniform" draws each example equally often in training,
      "balanced" each class.

  Raises:
    ValueError: random transforms in evaluation, rows outside the batch, or
      images of several shapes.
    UnreadableImage: no image is readable, or too many are unreadable.
  """
  transform = host.make_host_transform(transforms)
  if seed is None and transform.random:
    raise ValueError(
      f"transforms {tuple(transforms)} are random; evaluation must not be: "
      "use resize, resize_small and center_crop"
    )
  if seed is not None and not 0 <= seed < 2**32:
    raise ValueError(f"seed is {seed}; it must be in [0, 2^32)")
  _check_sizes(dataset, batch_size, seed, rows)
  masks = ()
  if transform.needs_mask:
    masks = fields.with_foreground(dataset, ())
    transform = transform.with_moves()
  source = examples.Examples(
    dataset, transform, channels, max_unreadable, max_pixels, masks
  )
  return Batches(
    examples=source,
    batch_size=batch_size,
    seed=seed,
    rows=rows,
    threads=threads,
    workers=workers,
    image_shape=filling.image_shape(source),
    groups=() if seed is None else sampling_groups.make(dataset, sampling),
  )


def _check_sizes(
  dataset: datasets.Dataset,
  batch_size: int,
  seed: int | None,
  rows: slice | np.ndarray,
) -> None:
  if batch_size < 1:
    raise ValueError(f"batch size {batch_size}; it must be at least 1")
  if seed is not None and batch_size > dataset.num_examples:
    logging.getLogger(__name__).warning(
      "a batch of %d contains the %d examples of %r more than once",
      batch_size,
      dataset.num_examples,
      dataset.split,
    )
  if isinstance(rows, np.ndarray):
    outside = rows.max() >= batch_size
  else:
    outside = rows.step not in (None, 1) or (rows.stop or 0) > batch_size
  if outside:
    raise ValueError(f"the rows {rows} are outside a batch of {batch_size}")
