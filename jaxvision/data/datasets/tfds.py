"""tensorflow-datasets data sets that are prepared on disk as array_record.

TensorFlow is not needed: records are read through a data source, and images
stay encoded (SkipDecoding) for our own decoder.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxvision.data import dataset, prepared

_CHUNK = 4096  # records held at once while all labels are read


def load(data_config: Any) -> dict[str, dataset.Dataset]:
  """The splits of a prepared data set.

  Args:
    data_config: reads name ("NAME[:VERSION]") and data_dir.

  Raises:
    FileNotFoundError: it is not prepared.
    ValueError: not prepared as array_record, or without one image and label.
  """
  import tensorflow_datasets as tfds

  found = prepared.find(data_config.name, data_dir=data_config.data_dir)
  builder = tfds.builder_from_directory(found.directory)
  features = builder.info.features
  image = _only(features, tfds.features.Image, "image")
  label = _only(features, tfds.features.ClassLabel, "label")
  return {
    name: _split(builder, name, image=image, label=label)
    for name in found.splits
  }


def _split(
  builder: Any, split: str, *, image: str, label: str
) -> dataset.Dataset:
  import tensorflow_datasets as tfds

  skip = {image: tfds.decode.SkipDecoding()}
  source = builder.as_data_source(split=split, decoders=skip)

  def read(indices: Sequence[int]) -> list[dataset.Example]:
    records = source.__getitems__([int(index) for index in indices])
    return [(record[image], int(record[label])) for record in records]

  def labels() -> np.ndarray:
    size = len(source)
    chunks = (range(i, min(i + _CHUNK, size)) for i in range(0, size, _CHUNK))
    found = [label for chunk in chunks for _, label in read(chunk)]
    return np.asarray(found, np.int64)

  return dataset.Dataset(
    name=builder.info.full_name,
    split=split,
    class_names=tuple(builder.info.features[label].names),
    num_examples=len(source),
    ids=lambda indices: [f"{split}/{index}" for index in indices],
    labels=labels,
    read=read,
  )


def _only(features: Any, kind: type, preferred: str) -> str:
  """The key of the feature of this kind; the preferred one among several."""
  keys = [key for key, each in features.items() if isinstance(each, kind)]
  if preferred in keys:
    return preferred
  if len(keys) != 1:
    raise ValueError(
      f"a classifier needs one {kind.__name__} feature, or one called "
      f"{preferred!r}; this data set has {keys or 'none'} among "
      f"{sorted(features)}"
    )
  return keys[0]
