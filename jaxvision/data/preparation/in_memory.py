"""Splits from arrays in memory."""

import numpy as np

from jaxvision.data import dataset


def from_arrays(
  images: np.ndarray,
  labels: np.ndarray,
  *,
  name: str,
  split: str,
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  """A split of decoded images.

  Args:
    images: (n, h, w, c) uint8.
    labels: (n,) int64.
    name: of the data set.
    split: its name; `ids` consist of the split and the number of the example.
    class_names: by label.

  Raises:
    ValueError: the numbers of labels and images differ.
  """
  if len(images) != len(labels):
    raise ValueError(
      f"{split} of {name} has {len(images)} images, but {len(labels)} labels; "
      "the files do not belong together: download them again"
    )
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(images),
    ids=lambda indices: [f"{split}_{index:05d}" for index in indices],
    labels=lambda: labels,
    read=lambda indices: [(images[i], int(labels[i])) for i in indices],
  )
