import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxvision import data


def config(kind, name, **changes):
  return data.Source(kind=kind, name=str(name), **changes)


def open_folder(path, split="train", **changes):
  return data.open_dataset(config("folder", path, **changes), split)


@pytest.fixture
def folder(tmp_path):
  for name in ("cat", "dog", "猫"):
    (tmp_path / "images" / name).mkdir(parents=True)
    for number in range(3):
      picture = Image.new("RGB", (4, 3), (number, 0, 0))
      picture.save(tmp_path / "images" / name / f"{number}.png")
  return tmp_path / "images"


def test_classes_must_agree_with_the_config(folder, tmp_path):
  path = tmp_path / "arrays.npz"
  np.savez(path, images=np.zeros((8, 3, 4), np.uint8), labels=np.arange(8) % 4)
  with pytest.raises(ValueError, match=r"num_classes is 4, but .* 3 classes"):
    open_folder(folder, num_classes=4)
  assert len(open_folder(folder, num_classes=3).class_names) == 3
  with pytest.raises(ValueError, match=r"label 3 .*outside the 3 classes"):
    data.open_dataset(config("npz", path, num_classes=3), "train")
  wide = data.open_dataset(config("npz", path, num_classes=5), "train")
  assert len(wide.class_names) == 5


def test_unknown_kinds_and_splits_list_the_known_ones(folder):
  with pytest.raises(ValueError, match="'foldr'; did you mean 'folder'"):
    data.open_dataset(config("foldr", folder), "train")
  with pytest.raises(ValueError, match=r"unknown split 'test'.*known: train"):
    open_folder(folder, "test")


def test_opening_and_reading_import_neither_jax_nor_tensorflow(folder):
  program = (
    "import sys\n"
    "from jaxvision import data\n"
    "import jaxvision.data.sources, jaxvision.data.transforms.host\n"
    "assert not {'cv2', 'tensorflow_datasets'} & set(sys.modules)\n"
    "config = data.Source(kind='folder', name=sys.argv[1])\n"
    "dataset = data.open_dataset(config, 'train')\n"
    "data.make_batches(dataset, batch_size=4, seed=0).at(0)\n"
    "assert not {'jax', 'tensorflow', 'torch'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, "-c", program, str(folder)], check=True)


def test_kind_of_a_source(folder, tmp_path):
  assert data.kind_of(str(folder)) == ("folder", str(folder))
  (tmp_path / "shards" / "train").mkdir(parents=True)
  (tmp_path / "shards" / "train" / "0.tar").touch()
  for path in ("shards", "shards/train", "shards/train/0.tar"):
    source = str(tmp_path / path)
    assert data.kind_of(source) == ("webdataset", source)
  pattern = f"{tmp_path}/shards/*-train-*.tar"
  assert data.kind_of(pattern) == ("webdataset", pattern)
  assert data.kind_of("digits.npz") == ("npz", "digits.npz")
  assert data.kind_of("my/photos.py:load") == ("my/photos.py:load", "")
  assert data.kind_of("cifar10:3.0.2") == ("tfds", "cifar10:3.0.2")
