"""Preparation of small published data sets, and reading of the results."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np
import published_archives
import tensorflow_datasets as tfds
from array_record.python import array_record_module

from jaxvision import data
from jaxvision.data.formats import tfrecords


def prepare(
  name: str,
  source: str | pathlib.Path | None,
  data_dir: pathlib.Path,
  **options: object,
) -> pathlib.Path:
  """Prepares a data set as the command does, with allow_partial."""
  options = {"allow_partial": True, **options}
  return data.prepare(name, source=source, data_dir=data_dir, **options)


def stored(directory: pathlib.Path) -> dict[str, dict[str, tuple[int, bytes]]]:
  """{split: {file name: (label, content of the image)}}, as tfds reads it."""
  builder = tfds.builder_from_directory(directory)
  skip = {"image": tfds.decode.SkipDecoding()}
  return {
    split: {
      each["file_name"].decode(): (int(each["label"]), each["image"])
      for each in builder.as_data_source(split=split, decoders=skip)
    }
    for split in builder.info.splits
  }


def files(directory: pathlib.Path) -> dict[str, bytes]:
  """{path: content} of all files below a folder."""
  return {
    path.relative_to(directory).as_posix(): path.read_bytes()
    for path in sorted(directory.rglob("*"))
    if path.is_file()
  }


def imagenet_with(
  folder: pathlib.Path, replaced: Mapping[str, bytes]
) -> pathlib.Path:
  """The folder of a small ImageNet with some training images replaced."""
  contents = published_archives.imagenet(folder)
  images = folder / "folder"
  published_archives.imagenet_folder(images, contents, sorted_validation=True)
  for name, content in replaced.items():
    (images / "train" / name.split("_")[0] / name).write_bytes(content)
  return images


def as_tfrecord(directory: pathlib.Path) -> None:
  """Converts a prepared data set to TFRecord, the default of TFDS."""
  for shard in directory.glob("*.array_record-*"):
    reader = array_record_module.ArrayRecordReader(str(shard))
    records = reader.read_all()
    reader.close()
    name = shard.name.replace(".array_record-", ".tfrecord-")
    shard.with_name(name).write_bytes(b"".join(map(_framed, records)))
    shard.unlink()
  info = json.loads((directory / "dataset_info.json").read_text())
  info["fileFormat"] = "tfrecord"
  (directory / "dataset_info.json").write_text(json.dumps(info))


def _framed(record: bytes) -> bytes:
  """A record of TFRecord; the checksum of its data is not read here."""
  length = np.asarray([len(record)], "<u8")
  words = length.view(np.uint8).reshape(1, 8)
  checksum = tfrecords.masked_crc32c(words).astype("<u4")
  return length.tobytes() + checksum.tobytes() + record + bytes(4)
