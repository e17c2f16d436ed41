"""Fills the rows of batches with examples.

In training, an unreadable image is replaced by the next readable one, so that
batches are full; in pairs, by the next one of its class. The replacement gets
the random transform of the missing image, so that its two copies differ. The
replacement depends only on the files. In evaluation, there is no replacement:
the row is masked.
"""

import dataclasses
from collections.abc import Iterable, Iterator

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
  for each in source.visible:
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
  partners: pairing.Partners | None = None,
) -> dict[int, str]:
  """Writes one example into each row.

  Args:
    batch: arrays of a `layout`; all rows are written.
    source: the examples.
    indices: (rows,) of the examples; num_examples means padding.
    epochs: (rows,) epoch of each example, for its random numbers.
    seed: of the transforms; None in evaluation.
    partners: of the examples. Then a replacement has the class of the
      unreadable image.

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
      others = partners.others(index) if partners else _others(source, index)
      image, label, fields = _next(source, index, others, rng, unreadable)
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
  partners: pairing.Partners,
) -> dict[int, str]:
  """Writes one image into each row of the field "partner"; see `fill`.

  In evaluation, a row whose partner is unreadable is masked.
  """
  hidden = tuple(each for each in source.fields if each.hidden)
  alone = dataclasses.replace(source, fields=hidden)
  own = {
    "image": batch[pairing.FIELD],
    "label": np.empty_like(batch["label"]),
    "mask": np.empty_like(batch["mask"]),
  }
  found = fill(
    own,
    alone,
    indices=indices,
    epochs=epochs,
    seed=seed,
    partners=partners,
  )
  batch["mask"] *= own["mask"]
  return found


def _next(
  source: examples.Examples,
  index: int,
  others: Iterable[int],
  rng: np.random.Generator | None,
  unreadable: dict[int, str],
) -> tuple[np.ndarray, examples.Label, examples.Values]:
  """The first readable one of other examples; adds those that are not."""
  for other in others:
    source.check(unreadable)
    image, label, fields = next(source.fetch([other], [rng]))
    if not isinstance(image, decoding.UnreadableImage):
      return image, label, fields
    unreadable[other] = str(image)
  raise decoding.UnreadableImage(
    f"{source.dataset.ids([index])[0]} of {source.dataset.name} "
    f"({source.dataset.split}) is unreadable, and so is every image "
    f"that could replace it: {unreadable[index]}"
  )


def _others(source: examples.Examples, index: int) -> Iterator[int]:
  """The other examples of the source of a mixture, from the next one on."""
  first, size = 0, source.dataset.num_examples
  for part, _ in source.dataset.mixture:
    if index < first + part:
      size = part
      break
    first += part
  return (first + (index + i - first) % size for i in range(1, size))


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
