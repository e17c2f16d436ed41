"""Recipes that convert a published data set to a prepared one."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

from jaxvision.data import dataset

Splits = dict[str, dataset.Dataset]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A published data set and its reader.

  Attributes:
    name: the name in tensorflow-datasets.
    version: the version in tensorflow-datasets that has the same splits.
    address: the web folder of the published files.
    files: name -> SHA-256 from tensorflow-datasets; empty if unknown.
    counts: split -> number of published examples.
    encoding: of the images in the result: "png" or "jpeg".
    shape: (h, w, c) of the images; None for sizes that vary.
    load: (name -> path of each file, an empty folder for unpacked files) ->
      splits.
    load_folder: a folder of images, in place of the files -> splits; None if
      this form is not published.
    refused: names of published pickle files, which are not read because
      unpickling can run any code.
    shard_size: maximum number of examples in a shard.
    fields: name -> "mask" or "text", of what is stored beside image and label.
    stratified: whether each slice of a split has the proportions of the
      classes; for data sets whose users cut their own splits.
  """

  name: str
  version: str
  address: str
  files: Mapping[str, str]
  counts: Mapping[str, int]
  encoding: str
  shape: tuple[int | None, int | None, int]
  load: Callable[[Mapping[str, pathlib.Path], pathlib.Path], Splits]
  load_folder: Callable[[pathlib.Path], Splits] | None = None
  refused: tuple[str, ...] = ()
  shard_size: int = 10_000
  fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
  stratified: bool = False


def published_names(name: str) -> tuple[str, ...]:
  """The classes of a data set in tensorflow-datasets, by label."""
  import tensorflow_datasets as tfds

  builder = tfds.builder(name, data_dir="/nonexistent")
  return tuple(builder.info.features["label"].names)
