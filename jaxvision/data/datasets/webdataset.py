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

import concurrent.futures
import dataclasses
import functools
import glob
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.data import (
  dataset,
  extents,
  image_files,
  index_file,
  names,
  pairs,
  splits,
  tar_groups,
)

# By precedence: beside a .cls, a .txt is often a caption.
_LABELS = ("cls", "json", "txt")
_JSON_KEYS = ("label", "cls")
_CLASS_NAMES = "classnames.txt"
_WORD = re.compile("[a-z]+")
_NUMBER = re.compile(r"-?\d+")
_SPLITS = tuple(dict.fromkeys(splits.NAMES.values()))
_IMAGES = frozenset(each[1:] for each in image_files.EXTENSIONS)
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class _Samples:
  """The examples of a split, and the place of each in `order`."""

  images: extents.Extents
  keys: names.Names
  labels: np.ndarray
  order: np.ndarray

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [self._name(int(self.order[index])) for index in indices]

  def all_labels(self) -> np.ndarray:
    return self.labels[self.order]

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
  keys: names.Names
  labels: list[str]


def load(data_config: Any) -> dict[str, dataset.Dataset]:
  """The splits of tar shards, each in a fixed, stratified order.

  Args:
    data_config: reads name, the path or pattern, and num_classes, which counts
      only where labels are numbers without names.

  Raises:
    FileNotFoundError: there are no shards.
    ValueError: shards that are compressed, cut, or of no split; an example
      without one image and a label; a label outside the classes.
  """
  shards = _shards(os.path.expanduser(data_config.name))
  indexes = {
    split: index_file.load(
      paths[0].parent,
      f"{split}-tar",
      of=paths,
      build=functools.partial(_list_all, paths),
    )
    for split, paths in shards.items()
  }
  texts = {split: arrays["texts"] for split, arrays in indexes.items()}
  first = next(iter(shards.values()))[0]
  class_names = _class_names(first, texts, data_config.num_classes)
  return {
    split: _split(data_config.name, split, paths, indexes[split], class_names)
    for split, paths in shards.items()
  }


def _shards(name: str) -> dict[str, list[pathlib.Path]]:
  """{split: its shards, sorted}, in the order of the splits."""
  path = pathlib.Path(name)
  if path.is_dir():
    found = sorted(path.glob("*.tar")) or sorted(path.glob("*/*.tar"))
  else:
    found = sorted(map(pathlib.Path, glob.glob(name)))
  if not found:
    raise FileNotFoundError(
      f"no .tar in {path.absolute()}; data.name must be a folder of shards, "
      'one shard, or a pattern as in "shards/*-train-*.tar"'
    )
  below = path.is_dir() and found[0].parent != path
  by_split: dict[str, list[pathlib.Path]] = {}
  for each in found:
    text = each.parent.name if below else each.stem
    named = {splits.NAMES.get(word) for word in _WORD.findall(text.lower())}
    by_split.setdefault("+".join(sorted(named - {None})), []).append(each)
  if set(by_split) == {""}:
    return {"train": by_split[""]}
  wrong = [paths[0] for each, paths in by_split.items() if each not in _SPLITS]
  if wrong:
    raise ValueError(
      f"{wrong[0]} names no split, or several, but other shards of {name} "
      f"name one; their names must contain one of {', '.join(splits.NAMES)}, "
      "or none of them may"
    )
  return {split: by_split[split] for split in _SPLITS if split in by_split}


def _class_names(
  shard: pathlib.Path, texts: Mapping[str, np.ndarray], num_classes: int
) -> tuple[str, ...]:
  """The names beside the shards, or those that the labels have."""
  for folder in (shard.parent, shard.parent.parent):
    if (folder / _CLASS_NAMES).is_file():
      lines = (folder / _CLASS_NAMES).read_text("utf-8").splitlines()
      return tuple(line.strip() for line in lines if line.strip())
  labels = list(texts.values())
  if all(map(_are_numbers, labels)):
    labels = [each.astype(np.int64) for each in labels]
  return pairs.name_classes(labels, num_classes=num_classes)


def _split(
  name: str,
  split: str,
  paths: Sequence[pathlib.Path],
  arrays: index_file.Arrays,
  class_names: tuple[str, ...],
) -> dataset.Dataset:
  texts, codes = arrays["texts"], arrays["codes"]
  number = functools.partial(
    pairs.number, class_names=class_names, where=f"{name}, split {split!r}"
  )
  if _are_numbers(texts):
    labels = number(texts.astype(np.int64)[codes])
  else:
    labels = number(texts)[codes]
  samples = _Samples(
    images=extents.Extents(
      paths=tuple(map(os.fspath, paths)),
      files=arrays["files"],
      offsets=arrays["offsets"],
      sizes=arrays["sizes"],
    ),
    keys=names.Names(arrays["characters"], arrays["ends"]),
    labels=labels,
    order=arrays["order"],
  )
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(samples.order),
    ids=samples.ids,
    labels=samples.all_labels,
    read=samples.read,
  )


def _are_numbers(texts: np.ndarray) -> bool:
  return all(_NUMBER.fullmatch(text) for text in texts.tolist())


def _list_all(paths: Sequence[pathlib.Path]) -> index_file.Arrays:
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    listed = list(pool.map(_list, paths))
  keys = names.concatenate([each.keys for each in listed])
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
  places, labels, keys = [], [], []
  with path.open("rb", buffering=0) as opened:
    for key, members in tar_groups.read(path, opened):
      where = f"{path}, example {key!r}"
      image = _image(members, where)
      places.append(members[image])
      labels.append(_label(members, opened.fileno(), where))
      keys.append(os.fsencode(f"{key}.{image}"))
  if not places:
    raise ValueError(f"{path} contains no file; remove it")
  return _Shard(np.asarray(places, np.int64), names.pack(keys), labels)


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
    content = os.pread(descriptor, size, offset)
    try:
      text = _from_json(content) if extension == "json" else content.decode()
    except ValueError as error:
      raise ValueError(f"{where}, .{extension}: {error}") from error
    if text is not None:
      return text.strip()
  raise ValueError(
    f"{where} has no label among its files {sorted(members)}; expected .cls, "
    ".json with a value 'label', or .txt"
  )


def _from_json(content: bytes) -> str | None:
  values = json.loads(content)
  if not isinstance(values, dict):
    return str(values)
  found = [values[key] for key in _JSON_KEYS if values.get(key) is not None]
  return str(found[0]) if found else None
