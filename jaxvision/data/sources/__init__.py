"""The kinds of data sets, which all open as the same `Dataset`.

"tfds" is a tensorflow-datasets data set prepared on disk, "folder" a directory
of images, "captions" images with captions in the files of COCO or Flickr8k,
"webdataset" tar shards, "npz" a file of arrays, "mixture" a weighted mixture of
several data sets, and "my_data.py:load" a user-defined function. A kind is a
function from a `Source` to its complete splits. Slicing and checks are the same
for all kinds and are done here. Nothing here uses the network or imports JAX.
"""

import dataclasses
import pathlib
from collections.abc import Callable

from jaxvision import lookup
from jaxvision.data import dataset
from jaxvision.data.sources import (
  captions,
  folder,
  folds,
  labels,
  mixture,
  npz_arrays,
  python_function,
  source,
  splits,
  tfds,
  variants,
  webdataset,
)

__all__ = [
  "Source",
  "hold_out",
  "kind_of",
  "open_dataset",
  "prepared",
  "split_sizes",
  "splits",
  "variants",
]

Source = source.Source
hold_out = folds.hold_out
Splits = dict[str, dataset.Dataset]

KINDS: dict[str, Callable[[Source], Splits]] = {
  "captions": captions.load,
  "folder": folder.load,
  "npz": npz_arrays.load,
  "tfds": tfds.load,
  "webdataset": webdataset.load,
}
_MIXTURE = "mixture"
_OWN = "FILE.py:FUNCTION"


def kind_of(text: str) -> tuple[str, str]:
  """Returns `data.kind` and `data.name` for the data argument of a command.

  Args:
    text: a folder of images or of tar shards, a pattern of shards, an .npz
      file, a file of captions or its folder, "FILE.py:FUNCTION", or else
      NAME[:VERSION] of TFDS.
  """
  if ".py:" in text:
    return text, ""
  path = pathlib.Path(text)
  if captions.is_one(path):
    return "captions", text
  if path.is_dir():
    shards = any(path.glob("*.tar")) or any(path.glob("*/*.tar"))
    return ("webdataset" if shards else "folder"), text
  kinds = {".npz": "npz", ".tar": "webdataset"}
  return kinds.get(path.suffix, "tfds"), text


def open_dataset(of: Source, split: str) -> dataset.Dataset:
  """Opens a split or a slice of a data set.

  Args:
    of: the data set.
    split: in the slicing syntax of TFDS: "train[:80%]", "train+test". For a
      mixture, it is applied to each source that has this split.

  Returns:
    The examples of this split, always in the same order.

  Raises:
    FileNotFoundError: the data do not exist; the message names the file and the
      remedy.
    ValueError: the kind or split is unknown, the data are damaged, or the
      number of classes differs from data.num_classes.
  """
  if of.kind != _MIXTURE:
    opened = _cut(_load(of), split)
  else:
    opened = _mixed(_load_sources(of), split)
  _check_classes(opened, of.num_classes)
  return opened


def split_sizes(of: Source) -> dict[str, int]:
  """The number of examples of each existing split, before slicing."""
  if of.kind != _MIXTURE:
    members = [_load(of)]
  else:
    members = [whole for whole, _ in _load_sources(of)]
  names = dict.fromkeys(name for whole in members for name in whole)
  return {
    name: sum(whole[name].num_examples for whole in members if name in whole)
    for name in names
  }


def _load(of: Source) -> Splits:
  """All splits of a data set that is no mixture."""
  if of.labels not in dataset.LABEL_TYPES:
    known = list(dataset.LABEL_TYPES)
    raise ValueError(lookup.unknown("data.labels", of.labels, known))
  kind = of.kind
  if kind not in KINDS and ":" not in kind:
    known = [*KINDS, _MIXTURE, _OWN]
    raise ValueError(lookup.unknown("data.kind", kind, known))
  loaded = KINDS.get(kind, python_function.load)(of)
  return {split: _with_clean_names(each) for split, each in loaded.items()}


def _with_clean_names(opened: dataset.Dataset) -> dataset.Dataset:
  """Cleans the class names, also those of a user-defined data set."""
  where = f"{opened.name}, split {opened.split!r}"
  names = labels.check_names(opened.class_names, where=where)
  if names == opened.class_names:
    return opened
  return dataclasses.replace(opened, class_names=names)


def _load_sources(of: Source) -> list[tuple[Splits, float]]:
  """The splits and the weight of each source of a mixture."""
  loaded = []
  for part in mixture.parts(of):
    whole = _load(part.source)
    whole["train"] = _cut(whole, part.split)
    loaded.append((whole, part.weight))
  return loaded


def _mixed(members: list[tuple[Splits, float]], split: str) -> dataset.Dataset:
  """The mixture of this split over all sources that have it."""
  there = [
    (_cut(whole, split), weight)
    for whole, weight in members
    if splits.named(split) <= set(whole)
  ]
  if not there:
    known = sorted({name for whole, _ in members for name in whole})
    raise ValueError(lookup.unknown("split of the sources", split, known))
  # The classes of all splits, so that all splits of the mixture agree.
  class_names = mixture.join_classes(
    [each for whole, _ in members for each in (whole["train"], *whole.values())]
  )
  return mixture.mix(there, class_names=class_names, split=split)


def _cut(whole: Splits, split: str) -> dataset.Dataset:
  """The part of a data set that an expression selects."""
  sizes = {name: each.num_examples for name, each in whole.items()}
  ranges = splits.resolve(split, sizes=sizes)
  parts = [(whole[name], start, stop) for name, start, stop in ranges]
  return dataset.join(parts, split=split)


def _check_classes(opened: dataset.Dataset, stated: int) -> None:
  found = len(opened.class_names)
  if opened.label_kind != "none" and stated not in (0, found):
    raise ValueError(
      f"data.num_classes is {stated}, but {opened.name} has {found} classes "
      f"({', '.join(opened.class_names[:5])}, ...); set it to {found}, or to 0 "
      "to infer it"
    )
