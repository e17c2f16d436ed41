"""Examples of all variants of a folder, for a contact sheet."""

import os

import numpy as np

from jaxvision.data import decoding
from jaxvision.data.decoding import unreadable
from jaxvision.data.sources import variants

_CHANNELS = 3


def sample(
  root: str | os.PathLike, *, split: str, rows: int = 8
) -> tuple[list[np.ndarray], list[str]]:
  """Images of all variants, row by row: a row shows one example.

  The variants must have the same images, as those that `make_backgrounds`
  writes. The examples are those of the first images of each class in turn.

  Args:
    root: the folder of the variants.
    split: "train", "validation" or "test".
    rows: number of examples, at most.

  Returns:
    Images (h, w, 3) uint8 and their titles, the variants.

  Raises:
    FileNotFoundError: the folder has no variant.
    ValueError: the variants have different numbers of images.
  """
  names = variants.variants_of(root, split=split)
  opened = [variants.open_variant(root, each, split=split) for each in names]
  counts = {each: o.num_examples for each, o in zip(names, opened, strict=True)}
  if len(set(counts.values())) > 1:
    raise ValueError(
      f"the variants of {root} have different numbers of images, {counts}; "
      "expected the same images in each"
    )
  # The examples of a folder are in a stratified order.
  numbers = range(min(rows, opened[0].num_examples))
  images = [
    decoding.decode(
      each.read([number])[0][0],
      channels=_CHANNELS,
      max_pixels=unreadable.MAX_PIXELS,
    )
    for number in numbers
    for each in opened
  ]
  return images, list(names) * len(numbers)
