"""WebDataset: tar files whose neighbouring members make an example.

Members of one name up to the first dot of its last part belong together:
"n01/7.jpg", "n01/7.cls". An example is one image and its label, which is, of
those that are there: .cls, a number or the name of a class; .json, its value
"label" (or "cls"); .txt, as .cls. Numbers are named by a file classnames.txt
beside the shards, one name per line.

Shards are PATH/*.tar, PATH/SPLIT/*.tar, one file, or what a pattern like
"PATH/*-train-*.tar" finds. Those of PATH belong to the split that their names
contain ("imagenet-train-0001.tar", "val-3.tar"); if none does, to "train".

The members are listed once and kept in an index beside the shards; afterwards
any image is read at once. Examples are in a fixed, stratified order.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.batches import prefetch
from jaxvision.data.decoding import image_files
from jaxvision.data.formats import (
  byte_ranges,
  index_file,
  packed_names,
  tar_groups,
)
from jaxvision.data.sources import (
  label_files,
  labels,
  source,
  splits,
  tar_shards,
)

# By precedence: beside a .cls, a .txt is often a caption.
_LABELS = ("cls", "json", "txt")
_LARGEST_LABEL = {"cls": 1 << 16, "json": 1 << 26, "txt": 1 << 16}  # bytes
_LARGEST_NAMES = 1 << 30  # bytes
_JSON_KEYS = ("label", "cls")
_CLASS_NAMES = "classnames.txt"
_IMAGES = frozenset(each[1:] for each in image_files.EXTENSIONS)
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class _Samples:
  """The examples of a split, and the place of each in `order`."""

  images: byte_ranges.Extents
  keys: packed_names.Names
  labels: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self._name(int(self.order[index])) for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

  def content(self) -> bytes:
    return self.all_labels().tobytes()

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    rows = self.order[np.asarray(indices, np.int64)]
    labels = self.labels[rows].tolist()
    return list(zip(self.images.read(rows), labels, strict=True))

  def _name(self, row: int) -> str:
    return f"{self.images.paths[self.images.files[row]]}/{self.keys[row]}"


@dataclasses.dataclass(frozen=True)
class _Shard:
  """The examples of one file: places of the images (n, 2), keys, labels."""

  places: np.ndarray
  keys: packed_names.Names
  labels: list[str]


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of tar shards, each in a fixed, stratified order.

  Args:
    of: reads name, the path or pattern, and num_classes, which counts
      only where labels are numbers without names.

  Raises:
    FileNotFoundError: there are no shards.
    ValueError: shards that are compressed, cut, or of no split; an example
      without one image and a label; a label outside the classes.
  """
  shards = tar_shards.find(os.path.expanduser(of.name))
  indexes = {
    split: index_file.load(
      paths[0].parent,
      f"{split}-tar",
      of=paths,
      build=functools.partial(_list_all, paths),
    )
    for split, paths in shards.items()
  }
  found, class_names = _classes(shards, indexes, of.num_classes)
  return {
    split: _split(
      of.name,
      split,
      _samples(shards[split], indexes[split], texts),
      class_names,
    )
    for split, texts in found.items()
  }


def _classes(
  shards: Mapping[str, Sequence[pathlib.Path]],
  indexes: Mapping[str, index_file.Arrays],
  num_classes: int,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """The class of each different label of each split, and the classes' names."""

  def locate(split: str, text: int) -> str:
    row = int(np.flatnonzero(indexes[split]["codes"] == text)[0])
    return _place(shards[split], indexes[split], row)

  texts = {split: arrays["texts"] for split, arrays in indexes.items()}
  class_names = _names_beside(next(iter(shards.values()))[0])
  if set().union(*(each.tolist() for each in texts.values())) <= {*class_names}:
    found = texts
    _refuse_ambiguous(texts, class_names)
  else:
    found = labels.numerals(texts, locate=locate)
  if not class_names:
    class_names = labels.name_classes(
      found, locate=locate, num_classes=num_classes
    )
  numbers = {
    split: labels.number(
      each,
      class_names=class_names,
      where=f"split {split!r}",
      locate=functools.partial(locate, split),
    )
    for split, each in found.items()
  }
  return numbers, class_names


def _refuse_ambiguous(
  texts: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> None:
  """Where labels are numbers, and classes are called by other numbers."""
  for number, name in enumerate(class_names):
    used = any(name in each for each in texts.values())
    if used and labels.is_number(name) and int(name) != number:
      raise ValueError(
        f"the label {name!r} is the name of class {number} in {_CLASS_NAMES} "
        "and, as a number, another class; call the classes by words, or number "
        "them from 0 in their order"
      )


def _names_beside(shard: pathlib.Path) -> tuple[str, ...]:
  """The names in a file beside the shards, or above; empty if there is none."""
  for folder in (shard.parent, shard.parent.parent):
    path = folder / _CLASS_NAMES
    if path.is_file():
      content = files.read_bytes(path, limit=_LARGEST_NAMES)
      return label_files.read_names(content, where=str(path))
  return ()


def _samples(
  paths: Sequence[pathlib.Path], arrays: index_file.Arrays, numbers: np.ndarray
) -> _Samples:
  return _Samples(
    images=byte_ranges.Extents(
      paths=tuple(map(os.fspath, paths)),
      files=arrays["files"],
      offsets=arrays["offsets"],
      sizes=arrays["sizes"],
    ),
    keys=packed_names.Names(arrays["characters"], arrays["ends"]),
    labels=numbers[arrays["codes"]],
    order=arrays["order"],
  )


def _place(
  paths: Sequence[pathlib.Path], arrays: index_file.Arrays, row: int
) -> str:
  """Where an example is, for messages."""
  keys = packed_names.Names(arrays["characters"], arrays["ends"])
  return files.printable(f"{paths[int(arrays['files'][row])]}/{keys[row]}")


def _split(
  name: str, split: str, samples: _Samples, class_names: tuple[str, ...]
) -> dataset.Dataset:
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(samples.order),
    ids=samples.ids,
    labels=samples.all_labels,
    read=samples.read,
    content=samples.content,
  )


def _list_all(paths: Sequence[pathlib.Path]) -> index_file.Arrays:
  listed = list(prefetch.make_ahead(_list, paths, threads=_THREADS))
  keys = packed_names.concatenate([each.keys for each in listed])
  texts, codes = np.unique(
    [text for each in listed for text in each.labels], return_inverse=True
  )
  counts = [len(each.labels) for each in listed]
  return {
    "files": np.repeat(np.arange(len(paths), dtype=np.int32), counts),
    "offsets": np.concatenate([each.places[:, 0] for each in listed]),
    "sizes": np.concatenate([each.places[:, 1] for each in listed]),
    "characters": keys.characters,
    "ends": keys.ends,
    "texts": texts,
    "codes": codes.astype(np.int32),
    "order": splits.stratified_order(codes).astype(np.uint32),
  }


def _list(path: pathlib.Path) -> _Shard:
  """The examples of one shard."""
  places, texts, keys = [], [], []
  with files.open_regular(path) as buffered:
    opened = buffered.raw
    for key, members in tar_groups.read(path, opened):
      where = f"{path}, example {key!r}"
      image = _image(members, where)
      places.append(members[image])
      texts.append(_label(members, opened.fileno(), where))
      keys.append(os.fsencode(f"{key}.{image}"))
  if not places:
    raise ValueError(f"{path} contains no file; remove it")
  return _Shard(np.asarray(places, np.int64), packed_names.pack(keys), texts)


def _image(members: Mapping[str, tar_groups.Place], where: str) -> str:
  """The extension of the image."""
  found = [extension for extension in members if extension in _IMAGES]
  if len(found) != 1:
    raise ValueError(
      f"{where} has {len(found)} images among its files {sorted(members)}; "
      "there must be one"
    )
  return found[0]


def _label(
  members: Mapping[str, tar_groups.Place], descriptor: int, where: str
) -> str:
  """The label as text."""
  for extension in _LABELS:
    if extension not in members:
      continue
    offset, size = members[extension]
    limit = _LARGEST_LABEL[extension]
    try:
      if size > limit:
        raise ValueError(f"it has {size:,} bytes; expected at most {limit:,}")
      content = os.pread(descriptor, size, offset)
      text = (
        label_files.from_json(content, _JSON_KEYS)
        if extension == "json"
        else label_files.from_text(content)
      )
    except UnicodeDecodeError as error:
      raise ValueError(
        f"{where}, .{extension} is no UTF-8 text ({error.reason}); write it as "
        "UTF-8"
      ) from error
    except ValueError as error:
      raise ValueError(f"{where}, .{extension}: {error}") from error
    if text == "":
      raise ValueError(
        f"{where}, .{extension} is empty; expected a number from 0 or the name "
        "of a class"
      )
    if text is not None:
      return text
  raise ValueError(
    f"{where} has no label among its files {sorted(members)}; expected .cls, "
    ".json with a value 'label', or .txt"
  )
