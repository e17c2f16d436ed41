"""Data sets that tensorflow-datasets has prepared on disk.

A prepared data set is DATA_DIR/NAME[/CONFIG]/VERSION with the files
dataset_info.json, features.json and the examples. This module reads only the
first file, without tensorflow-datasets, so that listing data sets is fast.
"""

import dataclasses
import logging
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from jaxvision import files, lookup
from jaxvision.data.formats import refusal

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_INFO = "dataset_info.json"
# Formats that can be read without TensorFlow.
_FORMATS = ("array_record", "tfrecord")
# The data sets that `jaxvision data prepare` supports, all except the first
# from published files. Those of tensorflow-datasets have its names.
OURS = (
  "digits",
  "cifar10",
  "cifar100",
  "fashion_mnist",
  "hangul",
  "imagenet2012",
  "mnist",
  "oxford_flowers102",
  "oxford_iiit_pet",
  "stamps",
  "stamps_captions",
  "stamps_captions_split",
  "stamps_categories",
  "cifar10_samples",
  "cifar100_samples",
  "fashion_mnist_samples",
  "imagenet_samples",
  "mnist_samples",
)
SHORT_NAMES = {"flowers102": "oxford_flowers102", "pets": "oxford_iiit_pet"}


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A data set as described on disk, without opening it.

  Attributes:
    name: NAME or NAME/CONFIG.
    version: three numbers, "1.0.0"; empty if it is not prepared.
    directory: of the data set; None if it is not prepared.
    file_format: of the examples; "array_record" or "tfrecord" can be read.
    splits: number of examples of each split.
    num_bytes: size of the examples on disk.
    remedy: the command or step that makes it usable; empty if it is usable.
  """

  name: str
  version: str
  directory: pathlib.Path | None
  file_format: str
  splits: dict[str, int]
  num_bytes: int
  remedy: str


def root(data_dir: str | os.PathLike | None) -> pathlib.Path:
  """`data_dir`; the default is $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
  default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
  return pathlib.Path(data_dir or default).expanduser()


def find(name: str, *, data_dir: str | os.PathLike | None) -> Prepared:
  """The newest version of a prepared data set.

  Args:
    name: NAME, NAME:VERSION or NAME/CONFIG:VERSION.
    data_dir: see `root`.

  Raises:
    FileNotFoundError: this name or version is not prepared.
    ValueError: it is prepared, but neither as array_record nor as tfrecord.
  """
  bare, colon, version = name.partition(":")
  bare = SHORT_NAMES.get(bare, bare)
  name = f"{bare}{colon}{version}"
  directory = root(data_dir) / bare
  found = [
    each for each in scan(directory, name=bare) if version in ("", each.version)
  ]
  if not found:
    raise FileNotFoundError(_missing(name, directory, root(data_dir)))
  newest = max(found, key=lambda each: _numbers(each.version))
  if newest.remedy:
    raise ValueError(
      f"{newest.directory} is prepared as {newest.file_format}, which needs "
      f"TensorFlow; {newest.remedy}"
    )
  return newest


def scan(directory: pathlib.Path, *, name: str) -> list[Prepared]:
  """The prepared versions of one data set, oldest first."""
  if not directory.is_dir():
    return []
  versions = [
    each
    for each in directory.iterdir()
    if _VERSION.fullmatch(each.name) and (each / _INFO).is_file()
  ]
  versions.sort(key=lambda each: _numbers(each.name))
  return [_describe(each, name) for each in versions]


def scan_all(directory: pathlib.Path) -> list[Prepared]:
  """All prepared data sets of a data directory, by name and version."""
  found = []
  for info in sorted(directory.glob(f"*/**/{_INFO}")):
    version = info.parent
    if _VERSION.fullmatch(version.name):
      name = version.parent.relative_to(directory).as_posix()
      try:
        found.append(_describe(version, name))
      except ValueError as error:
        logging.getLogger(__name__).warning("skipped: %s", error)
  return found


def list_datasets(
  data_dir: str | os.PathLike | None = None,
) -> list[Prepared]:
  """The prepared data sets of a directory, and those that could be prepared."""
  directory = root(data_dir)
  found = scan_all(directory)
  there = {each.name for each in found}
  return found + [
    Prepared(
      name=name,
      version="",
      directory=None,
      file_format="array_record",
      splits={},
      num_bytes=0,
      remedy=prepare_command(name, directory),
    )
    for name in OURS
    if name not in there
  ]


def _describe(directory: pathlib.Path, name: str) -> Prepared:
  path = directory / _INFO
  again = f"prepare the data set again, or remove {directory}"
  info = files.read_json(path, remedy=again)
  with refusal.naming(f"{path} is damaged", remedy=again):
    return _described(directory, name, info)


def _described(
  directory: pathlib.Path, name: str, info: Mapping[str, Any]
) -> Prepared:
  file_format = info.get("fileFormat") or "tfrecord"
  splits = info.get("splits", [])
  return Prepared(
    name=name,
    version=directory.name,
    directory=directory,
    file_format=file_format,
    splits={s["name"]: sum(map(int, s["shardLengths"])) for s in splits},
    num_bytes=sum(int(s.get("numBytes", 0)) for s in splits),
    remedy="" if file_format in _FORMATS else _build(name),
  )


def _build(name: str, data_dir: pathlib.Path | None = None) -> str:
  option = f" --data_dir={data_dir}" if data_dir else ""
  return (
    "prepare it where TensorFlow is installed, with "
    f"`tfds build {name} --file_format=array_record{option}`"
  )


def _missing(name: str, directory: pathlib.Path, data_dir: pathlib.Path) -> str:
  bare, _, version = name.partition(":")
  looked = directory / (version or "VERSION") / _INFO
  message = f"no prepared data set {name!r}: there is no {looked}"
  versions = [each.version for each in scan(directory, name=bare)]
  if versions:
    return f"{message}; prepared versions: {', '.join(versions)}"
  if bare in OURS:
    return f"{message}; make it with `{prepare_command(bare, data_dir)}`"
  known = sorted({*OURS, *(each.name for each in scan_all(data_dir))})
  near = lookup.nearest(bare, known)
  hint = f"; did you mean {near}?" if near else ";"
  return (
    f"{message}{hint} prepared or possible here: {', '.join(known)}. Any other "
    f"data set: copy a prepared one to {directory}, or "
    f"{_build(bare, data_dir)}"
  )


def prepare_command(name: str, data_dir: pathlib.Path) -> str:
  """The command that prepares one of `OURS`."""
  source = "" if name == OURS[0] else " --source=FOLDER"
  elsewhere = "" if data_dir == root(None) else f" --data_dir={data_dir}"
  return f"jaxvision data prepare {name}{source}{elsewhere}"


def _numbers(version: str) -> tuple[int, ...]:
  return tuple(int(part) for part in version.split("."))
