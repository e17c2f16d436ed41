"""Images without labels: data.labels="none".

A folder may contain images at any depth: PATH/**/IMAGE is the split "train",
and PATH/SPLIT/**/IMAGE are the splits train, val and test. Labels of other
kinds of data are not used.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from jaxvision.data import dataset
from jaxvision.data.decoding import image_files
from jaxvision.data.sources import pairs, source, splits

Splits = dict[str, dataset.Dataset]


def load(
  of: source.Source, load_labelled: Callable[[source.Source], Splits]
) -> Splits:
  """The splits of a data set, without labels.

  Args:
    of: the data set.
    load_labelled: the function of its kind.

  Raises:
    FileNotFoundError: the folder does not exist, or contains no image.
    ValueError: as `load_labelled`.
  """
  if of.kind == "folder":
    return _folder(of)
  if of.kind == "npz" or ":" in of.kind:
    return load_labelled(of)
  labelled = load_labelled(dataclasses.replace(of, labels="classes"))
  return {name: without_labels(each) for name, each in labelled.items()}


def without_labels(of: dataset.Dataset) -> dataset.Dataset:
  """The same examples with the label -1."""
  return dataclasses.replace(
    of,
    class_names=(),
    label_kind="none",
    labels=functools.partial(np.full, of.num_examples, -1, np.int64),
    read=functools.partial(_read, of),
  )


def _read(of: dataset.Dataset, indices: Sequence[int]) -> list[dataset.Example]:
  return [(image, -1) for image, _ in of.read(indices)]


def _folder(of: source.Source) -> Splits:
  path = pathlib.Path(of.name).expanduser()
  if not path.is_dir():
    raise FileNotFoundError(
      f"no directory {path.absolute()}; data.name must be the path of a folder "
      "of images"
    )
  below = sorted(each for each in path.iterdir() if each.is_dir())
  named = {
    split: each for each in below if (split := splits.of_folder(each.name))
  }
  return {
    split: pairs.from_files(
      image_files.list_images([each]),
      None,
      name=of.name,
      split=split,
      label_kind="none",
      tables=(each,),
    )
    for split, each in (named or {"train": path}).items()
  }
