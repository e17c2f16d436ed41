"""tensorflow-datasets data sets that are prepared on disk.

TensorFlow is not needed. Records are read from array_record or TFRecord files.
Only the encoded image, which our own decoder decodes, and the label are parsed.
Other features are fields by their own names, if they are text or images of one
channel, such as "segmentation_mask" of oxford_iiit_pet. A list of captions, as
in coco_captions, is the field "caption", one caption a line.
"""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.data import dataset
from jaxvision.data.formats import (
  caption_files,
  index_file,
  refusal,
  tf_example,
  tfrecords,
)
from jaxvision.data.sources import prepared, source

_OWN_CLASS = re.compile(r"tensorflow_datasets\.core\.features(\.\w+)+")
_CAPTIONS = "captions"  # the list of coco_captions
_CHUNK = 256  # records in memory while all labels are read

Fetch = Callable[[Sequence[int]], list[bytes]]


@dataclasses.dataclass(frozen=True)
class _Records:
  """The records of a split.

  Attributes:
    split: its name.
    image, label: the names of the two features; `label` is empty without
      labels.
    paths: of the shards.
    ends: (shards,) one past the last record of each shard.
    size: number of records.
    fetch: indices -> records.
  """

  split: str
  image: str
  label: str
  paths: tuple[pathlib.Path, ...]
  ends: np.ndarray
  size: int
  fetch: Fetch

  def ids(self, indices: Sequence[int]) -> list[str]:
    return [f"{self.split}/{index}" for index in indices]

  def read(self, indices: Sequence[int]) -> list[dataset.Example]:
    return self._parsed(indices, self._example)

  def _parsed(
    self, indices: Sequence[int], parse: Callable[[bytes], Any]
  ) -> list[Any]:
    try:
      records = self.fetch([int(index) for index in indices])
      return list(map(parse, records))
    # An error of a library, or a record that is not an Example. It is counted
    # like a damaged image, and the other records are read one by one.
    except Exception as error:
      if isinstance(error, OSError) and error.filename is not None:
        raise
      raise OSError(
        f"{self._place(indices)}: {error or type(error).__name__}"
      ) from error

  def fields(
    self, kinds: Mapping[str, str], captions: str
  ) -> dict[str, dataset.Field]:
    """The fields; `captions` is the name of the list of captions, if any."""
    found = {
      name: dataset.Field(kind, functools.partial(self._read_field, name, kind))
      for name, kind in kinds.items()
    }
    if captions and "caption" not in found:
      read = functools.partial(self._read_captions, captions)
      found["caption"] = dataset.Field("text", read)
    return found

  def _read_field(
    self, name: str, kind: str, indices: Sequence[int]
  ) -> list[bytes] | list[str]:
    """A feature of records: the content of a mask, or a text."""

    def value(record: bytes) -> bytes | str:
      found = _only_value(tf_example.parse(record, (name,)), name, bytes)
      return found.decode() if kind == "text" else found

    return self._parsed(indices, value)

  def _read_captions(self, feature: str, indices: Sequence[int]) -> list[str]:
    """The texts of a feature that is a list."""

    def value(record: bytes) -> str:
      found = tf_example.parse(record, (feature,)).get(feature, ())
      return caption_files.together(each.decode() for each in found)

    return self._parsed(indices, value)

  def _place(self, indices: Sequence[int]) -> str:
    """The position of records, for messages."""
    shard = int(np.searchsorted(self.ends, indices[0], side="right"))
    more = f" or one of the {len(indices) - 1} after it" * (len(indices) > 1)
    return f"record {self.ids(indices)[0]}{more} in {self.paths[shard]}"

  def labels(self) -> np.ndarray:
    """All labels; the first call reads all records and stores the labels.

    Unreadable records have the label -1.
    """
    if not self.label:
      return np.full(self.size, -1, np.int64)
    arrays = index_file.load(
      self.paths[0].parent,
      f"{self.split}-labels",
      of=self.paths,
      build=lambda: {"labels": np.fromiter(self._labels(), np.int64)},
    )
    return arrays["labels"]

  def _labels(self) -> Iterator[int]:
    for start in range(0, self.size, _CHUNK):
      chunk = range(start, min(start + _CHUNK, self.size))
      try:
        found = self.read(chunk)
      except OSError:
        found = [self._read_or_none(index) for index in chunk]
      for _, label in found:
        yield label

  def _read_or_none(self, index: int) -> dataset.Example:
    try:
      return self.read([index])[0]
    except OSError:
      return b"", -1

  def _example(self, record: bytes) -> dataset.Example:
    found = tf_example.parse(record, (self.image, self.label))
    image = _only_value(found, self.image, bytes)
    return image, _only_value(found, self.label, int) if self.label else -1


def _only_value(found: Mapping[str, list], name: str, kind: type) -> Any:
  """The one value of a feature of a record."""
  if [type(value) for value in found.get(name, ())] != [kind]:
    raise ValueError(
      f"the feature {name!r} must be one value of type {kind.__name__}, but "
      f"this record has {len(found.get(name, ()))} values"
    )
  return found[name][0]


def load(of: source.Source) -> dict[str, dataset.Dataset]:
  """The splits of a prepared data set.

  Args:
    of: reads name ("NAME[:VERSION]") and data_dir.

  Raises:
    FileNotFoundError: it is not prepared, or a shard is missing.
    ValueError: it has an unsupported format, a truncated or damaged shard, or
      not exactly one image and one label among its features.
  """
  if of.labels not in ("classes", "none"):
    raise ValueError(
      f"data.labels is {of.labels!r}, and data sets of TFDS are read with "
      'data.labels="classes" or "none" only; write a function '
      '"FILE.py:FUNCTION" that returns the images and their labels'
    )
  import tensorflow_datasets as tfds

  found = prepared.find(of.name, data_dir=of.data_dir)
  again = f"prepare it again, or copy {found.directory} from its source"
  what = f"{found.directory} cannot be opened as a data set of TFDS"
  with refusal.naming(what, remedy=again):
    _check_classes(found.directory / "features.json")
    info = tfds.builder_from_directory(found.directory).info
  image = _only(info.features, tfds.features.Image, "image")
  label = ""
  if of.labels == "classes":
    label = _only(info.features, tfds.features.ClassLabel, "label")
    _check_names(found.directory, label, info.features[label].names)
  return {
    name: _split(
      info,
      name,
      found.file_format,
      image=image,
      label=label,
      fields=_fields(info.features, tfds.features, image),
      captions=_list_of_captions(info.features, tfds.features),
    )
    for name, size in found.splits.items()
    if size  # an empty split may have no shard at all
  }


def _check_classes(path: pathlib.Path) -> None:
  """Rejects feature classes that do not belong to tensorflow-datasets.

  tensorflow-datasets would import any module that the file names, and so run
  it.
  """
  if not path.exists():
    return
  waiting = [files.read_json(path)]
  while waiting:
    each = waiting.pop()
    children = each.values() if isinstance(each, dict) else each
    waiting += [child for child in children if isinstance(child, dict | list)]
    name = each.get("pythonClassName") if isinstance(each, dict) else None
    if name is not None and not _OWN_CLASS.fullmatch(str(name)):
      raise ValueError(
        f"features.json names the class {files.printable(name)!r}, whose "
        "module would be run; expected one of tensorflow_datasets"
      )


def _check_names(
  directory: pathlib.Path, label: str, names: Sequence[str]
) -> None:
  """Checks that the file of class names has the right number of names."""
  path = directory / "features.json"
  if not path.exists():
    return
  try:
    features = files.read_json(path)["featuresDict"]["features"]
    count = int(features[label]["classLabel"]["numClasses"])
  except (KeyError, TypeError):  # of other versions of tensorflow-datasets
    return
  if count != len(names):
    raise ValueError(
      f"{directory / f'{label}.labels.txt'} has {len(names)} names, but "
      f"{path} states {count} classes; copy both again from their source"
    )


def _fields(features: Any, kinds: Any, image: str) -> dict[str, str]:
  """name -> "mask" or "text" of the features that are fields."""
  found = {}
  for name, each in features.items():
    if isinstance(each, kinds.Text):
      found[name] = "text"
    elif isinstance(each, kinds.Image) and each.shape[-1] == 1:
      found[name] = "mask"
  return {name: kind for name, kind in found.items() if name != image}


def _list_of_captions(features: Any, kinds: Any) -> str:
  """The name of the list of captions in a record; empty if there is none."""
  found = dict(features.items()).get(_CAPTIONS)
  if not isinstance(found, kinds.Sequence):
    return ""
  is_record = isinstance(found.feature, kinds.FeaturesDict)
  if is_record and "text" not in found.feature:
    return ""
  return f"{_CAPTIONS}/text" if is_record else _CAPTIONS


def _split(
  info: Any,
  split: str,
  file_format: str,
  *,
  image: str,
  label: str,
  fields: Mapping[str, str],
  captions: str,
) -> dataset.Dataset:
  shards = info.splits[split]
  records = _Records(
    split=split,
    image=image,
    label=label,
    paths=tuple(pathlib.Path(path) for path in shards.filepaths),
    ends=np.cumsum(shards.shard_lengths),
    size=shards.num_examples,
    fetch=_OPENED[file_format](shards),
  )
  return dataset.Dataset(
    name=info.full_name,
    split=split,
    class_names=tuple(info.features[label].names)
    if label
    else dataset.UNLABELLED,
    num_examples=records.size,
    ids=records.ids,
    labels=records.labels,
    read=records.read,
    label_kind="classes" if label else "none",
    fields=functools.partial(records.fields, fields, captions),
  )


def _open_array_record(shards: Any) -> Fetch:
  from array_record.python import array_record_data_source

  # With lengths, so that files are opened only when they are read.
  files = shards.file_instructions
  return functools.partial(
    _fetch_each, array_record_data_source.ArrayRecordDataSource(files)
  )


def _fetch_each(source: Any, indices: Sequence[int]) -> list[bytes]:
  # One by one, because a request for many would start new threads each time.
  return [source[index] for index in indices]


def _open_tfrecord(shards: Any) -> Fetch:
  paths = [pathlib.Path(os.fspath(path)) for path in shards.filepaths]
  located = tfrecords.locate(
    paths, counts=shards.shard_lengths, name=f"{shards.name}-records"
  )
  return located.read


_OPENED: dict[str, Callable[[Any], Fetch]] = {
  "array_record": _open_array_record,
  "tfrecord": _open_tfrecord,
}


_UNLABELLED = {"label": '; for images without labels, data.labels="none"'}


def _only(features: Any, kind: type, preferred: str) -> str:
  """The key of the only feature of a type, or the preferred key if present."""
  keys = [key for key, each in features.items() if isinstance(each, kind)]
  if preferred in keys:
    return preferred
  if len(keys) != 1:
    raise ValueError(
      f"a classifier needs one {kind.__name__} feature, or one called "
      f"{preferred!r}; this data set has {keys or 'none'} among "
      f"{sorted(features)}" + _UNLABELLED.get(preferred, "")
    )
  return keys[0]
