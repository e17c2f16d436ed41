"""Splits from arrays, and from the contents of files, in memory."""

from collections.abc import Mapping, Sequence

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


def from_contents(
  contents: Mapping[str, bytes],
  labels: Sequence[int],
  *,
  name: str,
  split: str,
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  """A split of image files whose content is in memory.

  Args:
    contents: file name -> content; the names are the `ids`.
    labels: one for each, in their order.
    name: of the data set.
    split: its name.
    class_names: by label.
  """
  names, images = tuple(contents), tuple(contents.values())
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(names),
    ids=lambda indices: [names[index] for index in indices],
    labels=lambda: np.asarray(labels, np.int64),
    read=lambda indices: [(images[i], labels[i]) for i in indices],
  )
