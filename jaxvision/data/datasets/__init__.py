"""The door to the kinds of data sets: all open into the same `Dataset`.

"tfds" is a tensorflow-datasets data set prepared on disk, "folder" a directory
of images, "npz" a file of arrays. A kind is a function from the data part of a
config to its whole splits; slicing and checks are the same for all and are
done here. Nothing here touches the network or imports JAX.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from jaxvision import spelling
from jaxvision.data import dataset, prepared, splits
from jaxvision.data.datasets import arrays, folder, tfds
from jaxvision.data.datasets.folder import list_images

__all__ = [
  "list_datasets",
  "list_images",
  "open_dataset",
  "prepare",
  "split_sizes",
]

# (data config) -> {split: Dataset}
KINDS: dict[str, Callable[[Any], dict[str, dataset.Dataset]]] = {
  "folder": folder.load,
  "npz": arrays.load,
  "tfds": tfds.load,
}


def open_dataset(data_config: Any, split: str) -> dataset.Dataset:
  """Opens a part of the data.

  Args:
    data_config: the part "data" of a config; reads kind, name, data_dir,
      num_classes.
    split: in the slicing syntax of TFDS: "train[:80%]", "train+test".

  Returns:
    The examples of this split, in an order that never changes.

  Raises:
    FileNotFoundError: the data are not there; says which file and how to make
      it.
    ValueError: unknown kind or split, broken data, or a number of classes
      other than data.num_classes.
  """
  whole = _load(data_config)
  sizes = {name: each.num_examples for name, each in whole.items()}
  ranges = splits.resolve(split, sizes=sizes)
  parts = [(whole[name], start, stop) for name, start, stop in ranges]
  return dataset.join(parts, split=split)


def split_sizes(data_config: Any) -> dict[str, int]:
  """Examples in each split that exists, before slicing."""
  whole = _load(data_config)
  return {name: each.num_examples for name, each in whole.items()}


def prepare(
  name: str, *, data_dir: str | os.PathLike | None = None
) -> pathlib.Path:
  """Makes one of our own data sets; returns at once if it is there.

  Args:
    name: one of prepared.OURS.
    data_dir: where; None means $TFDS_DATA_DIR, or ~/tensorflow_datasets.

  Returns:
    The directory of the prepared data.

  Raises:
    ValueError: jaxvision cannot make a data set of this name.
  """
  if name not in prepared.OURS:
    raise ValueError(
      spelling.unknown("data set to prepare", name, prepared.OURS)
      + "; others are prepared where TensorFlow is installed, with "
      f"`tfds build {name} --file_format=array_record`"
    )
  # Here because a builder needs tensorflow-datasets to be defined at all.
  from jaxvision.data.datasets import digits

  return digits.prepare(prepared.root(data_dir))


def list_datasets(
  data_dir: str | os.PathLike | None = None,
) -> list[prepared.Prepared]:
  """What is prepared in a directory, and what `prepare` could add to it."""
  directory = prepared.root(data_dir)
  found = prepared.scan_all(directory)
  there = {each.name for each in found}
  return found + [
    prepared.Prepared(
      name=name,
      version="",
      directory=None,
      file_format="array_record",
      splits={},
      num_bytes=0,
      remedy=prepared.prepare_command(name, directory),
    )
    for name in prepared.OURS
    if name not in there
  ]


def _load(data_config: Any) -> dict[str, dataset.Dataset]:
  """All splits of the data set, checked against data.num_classes."""
  kind = data_config.kind
  if kind not in KINDS:
    raise ValueError(spelling.unknown("data.kind", kind, list(KINDS)))
  whole = KINDS[kind](data_config)
  first = next(iter(whole.values()))
  found, stated = len(first.class_names), data_config.num_classes
  if stated not in (0, found):
    raise ValueError(
      f"data.num_classes is {stated}, but {first.name} has {found} classes "
      f"({', '.join(first.class_names[:5])}, ...); set it to {found}, or to 0 "
      "to infer it"
    )
  return whole
