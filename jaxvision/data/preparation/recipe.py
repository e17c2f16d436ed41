"""How a published data set becomes one that is prepared on disk."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

from jaxvision.data import dataset

Splits = dict[str, dataset.Dataset]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A data set as it is published, and how to read that.

  Attributes:
    name: that of tensorflow-datasets.
    version: that of tensorflow-datasets with the same splits.
    address: the folder on the web where the files are published.
    files: name -> SHA-256 as tensorflow-datasets has it; empty if unknown.
    counts: split -> how many examples were published.
    encoding: of the images in the result: "png" or "jpeg".
    shape: (h, w, c) of the images; None where it differs.
    load: (name -> path of each file, an empty folder to unpack to) -> splits.
    load_folder: a folder of images, in place of the files -> splits; None
      where nobody has such a one.
    refused: names of files that are published too, as pickles, whose reading
      would run whatever code is in them.
    shard_size: examples in a shard, at most.
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


def published_names(name: str) -> tuple[str, ...]:
  """The classes of a data set of tensorflow-datasets, by label."""
  import tensorflow_datasets as tfds

  builder = tfds.builder(name, data_dir="/nonexistent")
  return tuple(builder.info.features["label"].names)
