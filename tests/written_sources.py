"""One small data set, written in each supported layout.

Each function writes the images of CONTENTS into a folder and returns the
`data.Source` of the result.
"""

import io
import json
import pathlib
import struct
import tarfile
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from jaxvision import data

CLASSES = ("ant", "bee", "cat")
NUM_TRAIN, NUM_TEST = 23, 8


def png(number: int) -> bytes:
  """The content of an image, different for each number."""
  written = io.BytesIO()
  Image.new("RGB", (5, 4), (number, 200 - number, 7)).save(written, "PNG")
  return written.getvalue()


def examples(first: int, count: int) -> list[tuple[bytes, int]]:
  return [(png(first + i), i % len(CLASSES)) for i in range(count)]


# {split: [(file content, label)]}, in the order in which they are written.
CONTENTS = {
  "train": examples(0, NUM_TRAIN),
  "test": examples(100, NUM_TEST),
}


def config(kind: str, name: object = "", **changes: object) -> data.Source:
  """The source of a data set."""
  return data.Source(kind=kind, name=str(name), **changes)


def slow_crc32c(content: bytes) -> int:
  """CRC-32C bit by bit (RFC 3720, appendix B.4 has test vectors)."""
  crc = 0xFFFFFFFF
  for byte in content:
    crc ^= byte
    for _ in range(8):
      crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
  return crc ^ 0xFFFFFFFF


def masked(content: bytes) -> bytes:
  crc = slow_crc32c(content)
  rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
  return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord(records: Sequence[bytes]) -> bytes:
  """The content of a TFRecord file."""
  pieces = []
  for record in records:
    length = struct.pack("<Q", len(record))
    pieces += [length, masked(length), record, masked(record)]
  return b"".join(pieces)


def tf_example(features: Mapping[str, Sequence]) -> bytes:
  """A tf.train.Example, from the generated classes of protobuf."""
  from tensorflow_datasets.proto import tf_example_generated_pb2 as messages

  example = messages.Example()
  for name, values in features.items():
    feature = example.features.feature[name]
    if isinstance(values[0], bytes):
      feature.bytes_list.value.extend(values)
    elif isinstance(values[0], int):
      feature.int64_list.value.extend(values)
    else:
      feature.float_list.value.extend(values)
  return example.SerializeToString()


def records(split: str) -> list[bytes]:
  return [
    tf_example({"image": [image], "label": [label], "size": [0.5, 2.0]})
    for image, label in CONTENTS[split]
  ]


def write_array_record(path: pathlib.Path, content: Sequence[bytes]) -> None:
  from array_record.python import array_record_module

  writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
  for record in content:
    writer.write(record)
  writer.close()


def write_tfrecord(path: pathlib.Path, content: Sequence[bytes]) -> None:
  path.write_bytes(tfrecord(content))


def tfds(folder: pathlib.Path, file_format: str, shards: int = 3) -> object:
  """A data set "zoo", as prepared by tensorflow-datasets."""
  import tensorflow_datasets

  directory = folder / "zoo" / "1.0.0"
  directory.mkdir(parents=True)
  features = tensorflow_datasets.features
  features.FeaturesDict(
    {
      "image": features.Image(shape=(None, None, 3), encoding_format="png"),
      "label": features.ClassLabel(names=CLASSES),
      "size": features.Tensor(shape=(2,), dtype=np.float32),
    }
  ).save_config(directory)
  write = {"array_record": write_array_record, "tfrecord": write_tfrecord}
  described = []
  for split in CONTENTS:
    parts = np.array_split(np.arange(len(CONTENTS[split])), shards)
    for number, rows in enumerate(parts):
      name = f"zoo-{split}.{file_format}-{number:05d}-of-{shards:05d}"
      content = [records(split)[row] for row in rows.tolist()]
      write[file_format](directory / name, content)
    described.append(
      {
        "name": split,
        "shardLengths": [str(len(rows)) for rows in parts],
        "numBytes": "1",
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
      }
    )
  info = {"name": "zoo", "version": "1.0.0", "fileFormat": file_format}
  text = json.dumps({**info, "splits": described})
  (directory / "dataset_info.json").write_text(text)
  return config("tfds", "zoo", data_dir=folder)


def array_record(folder: pathlib.Path) -> object:
  return tfds(folder, "array_record")


def tfrecords(folder: pathlib.Path) -> object:
  return tfds(folder, "tfrecord")


def images(folder: pathlib.Path) -> object:
  """One directory per split and class."""
  for split, content in CONTENTS.items():
    for number, (image, label) in enumerate(content):
      path = folder / split / CLASSES[label] / f"{number:02}.png"
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(image)
  return config("folder", folder)


def write_tar(
  path: pathlib.Path, members: Sequence[tuple[str, bytes]], **options: object
) -> None:
  with tarfile.open(path, "w", **options) as archive:
    for name, content in members:
      member = tarfile.TarInfo(name)
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))


def tars(folder: pathlib.Path, shards: int = 3) -> object:
  """WebDataset shards, with the split in their names."""
  (folder / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
  for split, content in CONTENTS.items():
    for number in range(shards):
      members = [
        member
        for row, (image, label) in enumerate(content)
        if row % shards == number
        for member in (
          (f"{split}/{row:03}.png", image),
          (f"{split}/{row:03}.cls", str(label).encode()),
        )
      ]
      write_tar(folder / f"zoo-{split}-{number:04}.tar", members)
  return config("webdataset", folder)


def pixels(image: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(image)))


def npz(folder: pathlib.Path) -> object:
  """Arrays of decoded images."""
  arrays = {"class_names": np.asarray(CLASSES)}
  for split, content in CONTENTS.items():
    arrays[f"{split}_images"] = np.stack([pixels(each) for each, _ in content])
    arrays[f"{split}_labels"] = np.asarray([label for _, label in content])
  np.savez(folder / "zoo.npz", **arrays)
  return config("npz", folder / "zoo.npz")


def mixture(folder: pathlib.Path) -> object:
  """A mixture: half in a folder, half in shards; test only in shards."""
  written = images(folder / "images")
  (folder / "tars").mkdir()
  tars(folder / "tars")
  (pathlib.Path(written.name) / "test").rename(folder / "unused")
  sources = (
    (3.0, "folder", str(folder / "images"), "train[:50%]"),
    (1, "webdataset", str(folder / "tars"), "train"),
  )
  return config("mixture", sources=sources)


OWN = """
import dataclasses
import pathlib

from jaxvision import data


@dataclasses.dataclass(frozen=True)
class Shelf:
  folder: pathlib.Path
  names: tuple

  def read(self, indices):
    names = [self.names[index] for index in indices]
    return [
      ((self.folder / name).read_bytes(), int(name.split("-")[1]))
      for name in names
    ]


def load(name):
  splits = {}
  for split in ("train", "test"):
    folder = pathlib.Path(name) / split
    names = tuple(sorted(each.name for each in folder.iterdir()))
    shelf = Shelf(folder, names)
    splits[split] = data.Dataset(
      name=name,
      split=split,
      class_names=("ant", "bee", "cat"),
      num_examples=len(names),
      ids=lambda indices, names=names: [names[index] for index in indices],
      labels=lambda names=names: [int(each.split("-")[1]) for each in names],
      read=shelf.read,
    )
  return splits
"""


def own(folder: pathlib.Path) -> object:
  """Files named NUMBER-LABEL, and a function that reads them."""
  for split, content in CONTENTS.items():
    (folder / split).mkdir()
    for number, (image, label) in enumerate(content):
      (folder / split / f"{number:03}-{label}").write_bytes(image)
  (folder / "shelf.py").write_text(OWN)
  return config(f"{folder / 'shelf.py'}:load", folder)


WRITERS = {
  "array_record": array_record,
  "tfrecord": tfrecords,
  "folder": images,
  "webdataset": tars,
  "npz": npz,
  "own": own,
}
