"""Fills the rows of batches with examples.

In training, an unreadable image is replaced by the next readable one, so that
batches are full. The replacement gets the random transform of the missing
image, so that its two copies differ. The replacement depends only on the files.
In evaluation, there is no replacement: the row is masked.
"""

import dataclasses

import numpy as np

from jaxvision.data import dataset, decoding
from jaxvision.data.batches import examples, pairing

Batch = dict[str, np.ndarray]
# name -> (shape, dtype)
Layout = dict[str, tuple[tuple[int, ...], str]]

# First word of the seeds of transforms; the order of examples has another.
_TRANSFORM = 2


def layout(
  rows: int, image_shape: tuple[int, int, int], source: examples.Examples
) -> Layout:
  """The shapes and types of the arrays of a batch."""
  of = source.dataset
  kind = dataset.LABEL_TYPES[of.label_kind]
  arrays = {
    "image": ((rows, *image_shape), "uint8"),
    "label": ((rows, *dataset.label_shape(of)), kind),
    "mask": ((rows,), "float32"),
  }
  for each in source.fields:
    shape = (*image_shape[:2], 1) if each.kind == "mask" else each.shape
    arrays[each.name] = (rows, *shape), each.dtype
  return arrays


def empty(arrays: Layout) -> Batch:
  """Uninitialized arrays of a batch."""
  return {name: np.empty(*each) for name, each in arrays.items()}


def image_shape(source: examples.Examples) -> tuple[int, int, int]:
  """The shape of the first readable image after the transforms.

  Raises:
    UnreadableImage: no image is readable, or too many are unreadable.
  """
  rng = _rng(source, 0, 0, 0)
  for index in range(source.dataset.num_examples):
    image, *_ = next(source.fetch([index], [rng]))
    if not isinstance(image, decoding.UnreadableImage):
      return image.shape
    source.count({index: str(image)})
  raise decoding.UnreadableImage(
    f"no image of {source.dataset.name} ({source.dataset.split}) is readable; "
    f"the first: {next(iter(source.unreadable.values()))}"
  )


def fill(
  batch: Batch,
  source: examples.Examples,
  *,
  indices: np.ndarray,
  epochs: np.ndarray,
  seed: int | None,
) -> dict[int, str]:
  """Writes one example into each row.

  Args:
    batch: arrays of a `layout`; all rows are written.
    source: the examples.
    indices: (rows,) of the examples; num_examples means padding.
    epochs: (rows,) epoch of each example, for its random numbers.
    seed: of the transforms; None in evaluation.

  Returns:
    index -> reason of the unreadable images that were found.

  Raises:
    ValueError: an image has another shape.
    UnreadableImage: too many images are unreadable.
  """
  for array in batch.values():
    array[indices == source.dataset.num_examples] = 0
  rows = np.flatnonzero(indices < source.dataset.num_examples).tolist()
  wanted, epochs = indices[rows].tolist(), epochs[rows].tolist()
  rngs = [
    _rng(source, seed, epoch, index)
    for epoch, index in zip(epochs, wanted, strict=True)
  ]
  unreadable = {}
  for row, index, epoch, (image, label, fields) in zip(
    rows, wanted, epochs, source.fetch(wanted, rngs), strict=True
  ):
    if isinstance(image, decoding.UnreadableImage):
      unreadable[index] = str(image)
      if seed is None:
        for array in batch.values():
          array[row] = 0
        continue
      rng = _rng(source, seed, epoch, index)
      image, label, fields = _next(source, index, rng, unreadable)
    _check_shape(image, batch["image"].shape[1:], source, index)
    batch["image"][row], batch["label"][row] = image, label
    batch["mask"][row] = 1
    for name, value in fields.items():
      batch[name][row] = value
  return unreadable


def fill_partners(
  batch: Batch,
  source: examples.Examples,
  *,
  indices: np.ndarray,
  epochs: np.ndarray,
  seed: int | None,
) -> dict[int, str]:
  """Writes one image into each row of the field "partner"; see `fill`.

  In evaluation, a row whose partner is unreadable is masked.
  """
  alone = dataclasses.replace(source, fields=())
  own = {
    "image": batch[pairing.FIELD],
    "label": np.empty_like(batch["label"]),
    "mask": np.empty_like(batch["mask"]),
  }
  found = fill(own, alone, indices=indices, epochs=epochs, seed=seed)
  batch["mask"] *= own["mask"]
  return found


def _next(
  source: examples.Examples,
  index: int,
  rng: np.random.Generator | None,
  unreadable: dict[int, str],
) -> tuple[np.ndarray, examples.Label, examples.Values]:
  """The next readable example; adds unreadable ones to `unreadable`.

  Within a source of a mixture, the first example follows the last one.
  """
  first, size = 0, source.dataset.num_examples
  for part, _ in source.dataset.mixture:
    if index < first + part:
      size = part
      break
    first += part
  for _ in range(size - 1):
    source.check(unreadable)
    index = first + (index + 1 - first) % size
    image, label, fields = next(source.fetch([index], [rng]))
    if not isinstance(image, decoding.UnreadableImage):
      return image, label, fields
    unreadable[index] = str(image)
  raise decoding.UnreadableImage(
    f"none of the images {first} to {first + size - 1} of "
    f"{source.dataset.name} ({source.dataset.split}) is readable; {index}: "
    f"{unreadable[index]}"
  )


def _check_shape(
  image: np.ndarray,
  shape: tuple[int, ...],
  source: examples.Examples,
  index: int,
) -> None:
  if image.shape != shape:
    raise ValueError(
      f"{source.dataset.ids([index])[0]} has the shape {image.shape} after the "
      f"transforms, but other images of this split have {shape}; a batch needs "
      'one shape: add "resize(SIZE)", or "resize_small(SIZE)" and '
      '"center_crop(SIZE)", to the transforms'
    )


def _rng(
  source: examples.Examples, seed: int | None, epoch: int, index: int
) -> np.random.Generator | None:
  if not source.transform.random:
    return None
  words = (_TRANSFORM, seed, epoch, index)
  return np.random.Generator(np.random.Philox(words))
