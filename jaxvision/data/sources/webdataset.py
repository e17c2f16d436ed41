"""WebDataset: tar files in which neighbouring members form an example.

Members whose names agree up to the first dot of the file name form an example:
"n01/7.jpg", "n01/7.cls". An example has one image and a label. The label is in
the first existing member of these: .cls, a class number or class name; .json,
its value "label" (or "cls"); .txt, like .cls. A file classnames.txt beside the
shards gives names to class numbers, one name per line. For sets of classes,
.json has a list "labels" of class names or class numbers. For real numbers, it
has "numbers", one number or a list. Images without labels need only the image.
Masks and captions are fields, see
`tar_fields`.

Shards are PATH/*.tar, PATH/SPLIT/*.tar, one file, or the matches of a pattern
such as "PATH/*-train-*.tar". The name of a shard in PATH contains its split
("imagenet-train-0001.tar", "val-3.tar"). If no name contains a split, all
shards are "train".

The members are listed once. The list is stored in an index beside the shards,
so that each image can be read directly. Examples are in a fixed, stratified
order.
"""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

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
  label_numbers,
  label_sets,
  labels,
  source,
  splits,
  tar_fields,
  tar_shards,
)

# By precedence: if there is a .cls, a .txt is often a caption.
_LABELS = ("cls", "json", "txt")
_LARGEST_LABEL = {"cls": 1 << 16, "json": 1 << 26, "txt": 1 << 16}  # bytes
_LARGEST_NAMES = 1 << 30  # bytes
_JSON_KEYS = ("label", "cls")
_LIST_KEYS = {"sets": ("labels", "label"), "numbers": ("numbers", "label")}
_CLASS_NAMES = "classnames.txt"
_IMAGES = frozenset(each[1:] for each in image_files.EXTENSIONS)
_THREADS = 16
# Part of the name of an index, by the kind of the labels.
_ENDINGS = {"classes": ""} | {
  kind: f"-{kind}" for kind in ("sets", "numbers", "none")
}


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
    found = dataset.each_label(self.labels[rows])
    return list(zip(self.images.read(rows), found, strict=True))

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
    of: reads name, the path or pattern; and num_classes, if labels are class
      numbers without names.

  Raises:
    FileNotFoundError: there are no shards.
    ValueError: a shard is compressed or truncated, or has no split; an example
      does not have one image and a label; or a label is outside the classes.
  """
  shards = tar_shards.find(os.path.expanduser(of.name))
  indexes = {
    split: index_file.load(
      paths[0].parent,
      f"{split}-tar" + _ENDINGS[of.labels],
      of=paths,
      build=functools.partial(_list_all, paths, of.labels),
    )
    for split, paths in shards.items()
  }
  name_labels = _NAMED[of.labels]
  found, class_names = name_labels(shards, indexes, of)
  return {
    split: _split(
      of.name,
      split,
      _samples(shards[split], indexes[split], texts),
      class_names,
      of.labels,
      shards[split],
    )
    for split, texts in found.items()
  }


def _none(
  shards: Mapping[str, Sequence[pathlib.Path]],
  indexes: Mapping[str, index_file.Arrays],
  of: source.Source,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """The label -1 for all examples, and the name of the one class."""
  del shards, of
  found = {split: np.full(1, -1, np.int64) for split in indexes}
  return found, dataset.UNLABELLED


def _lists(
  shards: Mapping[str, Sequence[pathlib.Path]],
  indexes: Mapping[str, index_file.Arrays],
  of: source.Source,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """Each distinct list of labels as a row, and the names of the columns."""

  def locate(split: str, text: int) -> str:
    row = int(np.flatnonzero(indexes[split]["codes"] == text)[0])
    return _place(shards[split], indexes[split], row)

  given = {
    split: [json.loads(text) for text in arrays["texts"].tolist()]
    for split, arrays in indexes.items()
  }
  names = _names_beside(next(iter(shards.values()))[0])
  if of.labels == "sets" and not names:
    names = label_sets.name_classes(
      given, locate=locate, num_classes=of.num_classes
    )
  found = {}
  for split, each in given.items():
    where, place = f"split {split!r}", functools.partial(locate, split)
    if of.labels == "sets":
      found[split] = label_sets.indicators(
        each, class_names=names, where=where, locate=place
      )
    else:
      found[split] = label_numbers.columns(each, where=where, locate=place)
      names = names or tuple(map(str, range(found[split].shape[1])))
      label_numbers.check_names(names, found[split], where=where)
  return found, names


def _classes(
  shards: Mapping[str, Sequence[pathlib.Path]],
  indexes: Mapping[str, index_file.Arrays],
  of: source.Source,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """The class of each distinct label of each split, and the class names."""

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
      found, locate=locate, num_classes=of.num_classes
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
  """Raises ValueError if a class name is the number of another class."""
  for number, name in enumerate(class_names):
    used = any(name in each for each in texts.values())
    if used and labels.is_number(name) and int(name) != number:
      raise ValueError(
        f"the label {name!r} is the name of class {number} in {_CLASS_NAMES} "
        "and, as a number, another class; use words as class names, or number "
        "the classes from 0 in their order"
      )


def _names_beside(shard: pathlib.Path) -> tuple[str, ...]:
  """The names in a file beside the shard or in the folder above; or empty."""
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
  """The position of an example, for messages."""
  keys = packed_names.Names(arrays["characters"], arrays["ends"])
  return files.printable(f"{paths[int(arrays['files'][row])]}/{keys[row]}")


def _split(
  name: str,
  split: str,
  samples: _Samples,
  class_names: tuple[str, ...],
  label_kind: str,
  shards: Sequence[pathlib.Path],
) -> dataset.Dataset:
  if label_kind == "sets":
    strata = label_sets.strata(samples.labels)
    samples = dataclasses.replace(
      samples, order=splits.stratified_order(strata)
    )
  return dataset.Dataset(
    name=name,
    split=split,
    class_names=class_names,
    num_examples=len(samples.order),
    ids=samples.ids,
    labels=samples.all_labels,
    read=samples.read,
    content=samples.content,
    label_kind=label_kind,
    fields=functools.partial(
      tar_fields.load,
      shards,
      split,
      samples.order,
      labelled=label_kind != "none",
    ),
  )


def _list_all(
  paths: Sequence[pathlib.Path], label_kind: str
) -> index_file.Arrays:
  look = functools.partial(_list, label_kind)
  listed = list(prefetch.make_ahead(look, paths, threads=_THREADS))
  keys = packed_names.concatenate([each.keys for each in listed])
  texts, codes = np.unique(
    [text for each in listed for text in each.labels], return_inverse=True
  )
  counts = [len(each.labels) for each in listed]
  strata = codes if label_kind == "classes" else np.zeros_like(codes)
  return {
    "files": np.repeat(np.arange(len(paths), dtype=np.int32), counts),
    "offsets": np.concatenate([each.places[:, 0] for each in listed]),
    "sizes": np.concatenate([each.places[:, 1] for each in listed]),
    "characters": keys.characters,
    "ends": keys.ends,
    "texts": texts,
    "codes": codes.astype(np.int32),
    "order": splits.stratified_order(strata).astype(np.uint32),
  }


def _list(label_kind: str, path: pathlib.Path) -> _Shard:
  """The examples of one shard."""
  places, texts, keys = [], [], []
  read_label = _reader(label_kind)
  with files.open_regular(path) as buffered:
    opened = buffered.raw
    for key, members in tar_groups.read(path, opened):
      where = f"{path}, example {key!r}"
      image = _image(members, where)
      places.append(members[image])
      texts.append(read_label(members, opened.fileno(), where))
      keys.append(os.fsencode(f"{key}.{image}"))
  if not places:
    raise ValueError(f"{path} contains no file; remove it")
  return _Shard(np.asarray(places, np.int64), packed_names.pack(keys), texts)


def _reader(
  label_kind: str,
) -> Callable[[Mapping[str, tar_groups.Place], int, str], str]:
  if label_kind == "none":
    return lambda *_: ""
  if label_kind == "classes":
    return _label
  return functools.partial(_label_list, _LIST_KEYS[label_kind])


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
        f"{where}, .{extension} is not UTF-8 text ({error.reason}); write it "
        "as UTF-8"
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


def _label_list(
  keys: Sequence[str],
  members: Mapping[str, tar_groups.Place],
  descriptor: int,
  where: str,
) -> str:
  """The list of labels of an example, as JSON."""
  if "json" not in members:
    raise ValueError(
      f"{where} has no label among its files {sorted(members)}; expected .json "
      f"with a value {keys[0]!r}"
    )
  offset, size = members["json"]
  try:
    if size > _LARGEST_LABEL["json"]:
      raise ValueError(f"it has {size:,} bytes; expected at most 2**26")
    content = os.pread(descriptor, size, offset)
    found = label_files.list_from_json(content, keys)
    if found is None:
      raise ValueError(f"there is no value {keys[0]!r}")
  except ValueError as error:
    raise ValueError(f"{where}, .json: {error}") from error
  return json.dumps(found)


_NAMED = {"classes": _classes, "sets": _lists, "numbers": _lists, "none": _none}
