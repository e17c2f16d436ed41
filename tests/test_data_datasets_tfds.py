import types

import numpy as np
import pytest
import tensorflow_datasets

from jaxvision import data
from jaxvision.data.datasets import tfds


def config(kind, name, **changes):
  values = {"data_dir": None, "num_classes": 0, "channels": 3, **changes}
  return types.SimpleNamespace(kind=kind, name=str(name), **values)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  directory = tmp_path_factory.mktemp("prepared")
  data.prepare("digits", data_dir=directory)
  return directory


def test_slices_of_a_prepared_data_set_are_its_examples(data_dir):
  cut = config("tfds", "digits:1.0.0", data_dir=data_dir)
  whole = data.open_dataset(cut, "train")
  head = data.open_dataset(cut, "train[:80%]")
  tail = data.open_dataset(cut, "train[80%:]+test[:2]")
  assert (head.num_examples, tail.num_examples) == (1006, 253)
  assert head.read([1005, 3]) == whole.read([1005, 3])
  assert tail.read([0]) == whole.read([1006])
  assert tail.ids([0, 250, 252]) == ["train/1006", "train/1256", "test/1"]
  together = np.concatenate([head.labels(), tail.labels()[:251]])
  np.testing.assert_array_equal(together, whole.labels())


def test_reads_keep_the_order_of_the_indices(data_dir):
  cut = config("tfds", "digits", data_dir=data_dir)
  dataset = data.open_dataset(cut, "test+train")
  indices = np.random.default_rng(0).permutation(1617)[:50]
  alone = [dataset.read([index])[0] for index in indices]
  assert dataset.read(indices) == alone


def test_image_and_label_are_found_among_the_features():
  features = tensorflow_datasets.features
  known = {
    "picture": features.Image(),
    "label": features.ClassLabel(num_classes=100),
    "coarse_label": features.ClassLabel(num_classes=20),
  }
  assert tfds._only(known, features.Image, "image") == "picture"
  assert tfds._only(known, features.ClassLabel, "label") == "label"
  known["fine"] = known.pop("label")
  with pytest.raises(ValueError, match=r"\['coarse_label', 'fine'\] among"):
    tfds._only(known, features.ClassLabel, "label")
  with pytest.raises(ValueError, match=r"has none among \['name'\]"):
    tfds._only({"name": features.Text()}, features.Image, "image")
