"""Shards of examples on disk, in the format of tensorflow-datasets.

A shard is an array_record file of tf.train.Example messages with the features
image, label, file_name and the fields of the split. It gets its name only when
it is complete and its notes are written. So a process that is killed loses only
the shards in progress. The bytes depend only on the examples.
"""

import concurrent.futures
import dataclasses
import errno
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import files
from jaxvision.data import dataset, decoding
from jaxvision.data.preparation import encoding

_LOGGER = logging.getLogger(__name__)
# The name of a shard, as in dataset_info.json.
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


@dataclasses.dataclass(frozen=True)
class Shard:
  """A planned shard.

  Attributes:
    path: of the file.
    notes: path of the description of its content, which is written before it.
    split: the source of its examples.
    indices: of its examples, in their order in the shard.
    fields: names of what is stored beside image and label.
  """

  path: pathlib.Path
  notes: pathlib.Path
  split: dataset.Dataset
  indices: Sequence[int]
  fields: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Written:
  """The content of a shard.

  Attributes:
    num_examples: number of examples.
    num_bytes: of the records, before compression.
    repaired: id -> reason why the image was re-encoded.
    left_out: id -> reason why the image cannot be read.
  """

  num_examples: int
  num_bytes: int
  repaired: dict[str, str]
  left_out: dict[str, str]


def plan(
  directory: pathlib.Path,
  split: dataset.Dataset,
  order: Sequence[int],
  *,
  notes: pathlib.Path,
  shard_size: int,
  fields: Sequence[str] = (),
) -> list[Shard]:
  """The shards of a split, whose sizes differ by at most one example.

  Args:
    directory: of the shards.
    split: the examples; it determines the file names.
    order: of the stored examples.
    notes: folder of the descriptions of finished shards.
    shard_size: maximum number of examples in a shard.
    fields: names of what is stored beside image and label.
  """
  count = -(-len(order) // shard_size)
  ends = [number * len(order) // count for number in range(count + 1)]
  stem = f"{split.name}-{split.split}.array_record"
  names = [f"{stem}-{i:05d}-of-{count:05d}" for i in range(count)]
  return [
    Shard(
      path=directory / name,
      notes=notes / f"{name}.json",
      split=split,
      indices=order[ends[i] : ends[i + 1]],
      fields=tuple(fields),
    )
    for i, name in enumerate(names)
  ]


def write(
  shards: Sequence[Shard],
  *,
  encode: encoding.Encode,
  threads: int,
  advance: Callable[[int], None],
) -> list[Written]:
  """Writes the missing shards; returns the content of all shards.

  Args:
    shards: from `plan`; the folders must exist.
    encode: encodes an image for storage.
    threads: number of shards that are written at the same time.
    advance: called from any thread with a number of finished examples.

  Raises:
    OSError: the disk is full, or the source cannot be read at all.
  """

  def finished(shard: Shard) -> Written:
    if not shard.path.exists():
      return _write(shard, encode, advance)
    try:
      written = Written(**files.read_json(shard.notes))
    except (OSError, ValueError, TypeError) as error:
      _LOGGER.warning("%s is rewritten: %s", shard.path, error)
      return _write(shard, encode, advance)
    advance(len(shard.indices))
    return written

  with concurrent.futures.ThreadPoolExecutor(max(1, threads)) as pool:
    jobs = [pool.submit(finished, shard) for shard in shards]
    try:
      return [job.result() for job in jobs]
    finally:
      pool.shutdown(cancel_futures=True)


def _write(
  shard: Shard, encode: encoding.Encode, advance: Callable[[int], None]
) -> Written:
  from array_record.python import array_record_module

  part = shard.path.with_name(shard.path.name + ".part")
  part.unlink(missing_ok=True)
  writer = array_record_module.ArrayRecordWriter(str(part), "group_size:1")
  repaired, left_out, sizes = {}, {}, []
  for name, label, image, fields in _examples(shard):
    try:
      if isinstance(image, OSError):
        raise decoding.UnreadableImage(str(image)) from image
      content, reason = encode(image)
    except decoding.UnreadableImage as error:
      left_out[name] = str(error)
    else:
      fields = {"file_name": pathlib.PurePath(name).name, **fields}
      record = _record(content, label, fields)
      writer.write(record)
      sizes.append(len(record))
      if reason:
        repaired[name] = reason
    advance(1)
  _close(writer, part)
  written = Written(len(sizes), sum(sizes), repaired, left_out)
  files.write_json(shard.notes, dataclasses.asdict(written))
  files.move_written(part, shard.path)
  return written


def _examples(shard: Shard) -> Iterator[tuple[str, int, Any, dict[str, Any]]]:
  """(id, label, image or the error of reading it, fields) of each example."""
  there = shard.split.fields() if shard.fields else {}
  fields = {name: there[name] for name in shard.fields}
  for index in map(int, shard.indices):
    (name,) = shard.split.ids([index])
    found = {}
    try:
      ((image, label),) = shard.split.read([index])
      found = {key: each.read([index])[0] for key, each in fields.items()}
    except OSError as error:
      image, label = error, -1
    yield name, label, image, found


def _record(
  image: bytes, label: int, fields: Mapping[str, str | bytes | np.ndarray]
) -> bytes:
  """A serialized tf.train.Example; equal examples have equal bytes."""
  from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

  def text(value: bytes) -> tf_feature_pb2.Feature:
    values = tf_feature_pb2.BytesList(value=[value])
    return tf_feature_pb2.Feature(bytes_list=values)

  numbers = tf_feature_pb2.Int64List(value=[label])
  features: Mapping[str, tf_feature_pb2.Feature] = {
    "image": text(image),
    "label": tf_feature_pb2.Feature(int64_list=numbers),
    **{name: text(_stored(each)) for name, each in fields.items()},
  }
  example = tf_example_pb2.Example(
    features=tf_feature_pb2.Features(feature=features)
  )
  return example.SerializeToString(deterministic=True)


def _stored(value: str | bytes | np.ndarray) -> bytes:
  """The bytes of a text, or of the PNG of a mask."""
  if isinstance(value, np.ndarray):
    return encoding.png(value)
  return value.encode() if isinstance(value, str) else value


def _close(writer: Any, path: pathlib.Path) -> None:
  """Closes a shard.

  Raises:
    OSError: a write failed; the writer reports this only when it is closed.
  """
  try:
    writer.close()
  except RuntimeError as error:
    reasons = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    known = [code for code in reasons if os.strerror(code) in str(error)]
    code = known[0] if known else errno.EIO
    raise OSError(code, os.strerror(code), os.fspath(path)) from error
