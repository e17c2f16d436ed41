"""Preparation of published data sets from archives, folders and TFDS."""

import dataclasses
import functools
import json
import pathlib

import file_server
import numpy as np
import published_archives
import pytest
from preparations import as_tfrecord, files, imagenet_with, prepare, stored

from jaxvision import data
from jaxvision.data import preparation
from jaxvision.data.sources import prepared

# name -> the function that writes it, and its classes
PUBLISHED = {
  "cifar10": (published_archives.cifar, 10),
  "cifar100": (functools.partial(published_archives.cifar, classes=100), 100),
  "fashion_mnist": (published_archives.idx, 10),
  "hangul": (published_archives.hangul, 2350),
  "imagenet2012": (published_archives.imagenet, 1000),
  "mnist": (published_archives.idx, 10),
  "flowers102": (published_archives.flowers, 102),
  "pets": (published_archives.pets, 37),
}


@pytest.fixture
def source(tmp_path):
  folder = tmp_path / "source"
  folder.mkdir()
  return folder


def same(stored_image, original):
  if isinstance(original, bytes):
    return stored_image == original
  decoded = data.decode(stored_image, channels=original.shape[2])
  return np.array_equal(decoded, original)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_image_and_label_is_there_once(name, source, tmp_path):
  write, num_classes = PUBLISHED[name]
  contents = write(source)
  directory = prepare(name, source, tmp_path / "data")
  found = stored(directory)
  assert list(found) == list(contents)
  for split, examples in contents.items():
    assert set(found[split]) == {file_name for file_name, _, _ in examples}
    for file_name, label, image in examples:
      assert found[split][file_name][0] == label
      assert same(found[split][file_name][1], image), file_name
  config = data.Source(
    kind="tfds", name=name, data_dir=tmp_path / "data", num_classes=num_classes
  )
  for split, examples in contents.items():
    opened = data.open_dataset(config, split)
    assert sorted(opened.labels()) == sorted(label for _, label, _ in examples)


@pytest.mark.parametrize("name", PUBLISHED)
def test_fewer_images_than_were_published_must_be_allowed(
  name, source, tmp_path, monkeypatch
):
  contents = PUBLISHED[name][0](source)
  full = prepared.SHORT_NAMES.get(name, name)
  recipe = preparation.RECIPES[full]
  unchecked = dataclasses.replace(recipe, files=dict.fromkeys(recipe.files, ""))
  monkeypatch.setitem(preparation.RECIPES, full, unchecked)
  split, examples = next(iter(contents.items()))
  expected = rf"{len(examples)} of {recipe.counts[split]:,} examples of {split}"
  with pytest.raises(ValueError, match=expected):
    prepare(name, source, tmp_path, allow_partial=False)
  assert not (tmp_path / full / recipe.version).exists()


def test_existing_data_are_kept_and_other_options_are_refused(source, tmp_path):
  published_archives.idx(source)
  directory = prepare("mnist", source, tmp_path)
  before = files(directory)
  assert prepare("mnist", None, tmp_path) == directory
  assert files(directory) == before
  with pytest.raises(ValueError, match="already exists with"):
    prepare("mnist", source, tmp_path, resize_small=14)


def test_files_of_another_checksum_are_refused(source, tmp_path):
  published_archives.cifar(source)
  with pytest.raises(ValueError, match=r"binary\.tar\.gz has SHA-256"):
    prepare("cifar10", source, tmp_path, allow_partial=False)


def test_a_mirror_on_the_web(source, tmp_path, monkeypatch):
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "cache"))
  contents = published_archives.idx(source)
  with file_server.serve(files(source)) as site:
    with pytest.raises(ValueError, match="has SHA-256"):
      prepare("mnist", site.url, tmp_path, allow_partial=False)
    directory = prepare("mnist", f"{site.url}/", tmp_path)
  assert len(stored(directory)["train"]) == len(contents["train"])


def test_idx_files_may_have_been_decompressed(source, tmp_path):
  contents = published_archives.idx(source, compressed=False)
  directory = prepare("fashion_mnist", source, tmp_path)
  assert len(stored(directory)["test"]) == len(contents["test"])


@pytest.mark.parametrize("name", ["imagenet2012", "mnist"])
def test_a_tfrecord_copy_becomes_array_record(name, source, tmp_path):
  PUBLISHED[name][0](source)
  copy = prepare(name, source, tmp_path / "copy")
  expected = stored(copy)
  as_tfrecord(copy)
  made = stored(prepare(name, tmp_path / "copy", tmp_path / "made"))
  for split, examples in expected.items():
    assert sorted(made[split].values()) == sorted(examples.values())


@pytest.mark.parametrize(
  "pickled", ["cifar-10-python.tar.gz", "cifar-10-batches-py"]
)
@pytest.mark.parametrize("itself", [True, False])
def test_pickles_are_refused(pickled, itself, source, tmp_path):
  (source / pickled).mkdir()
  path = source / pickled if itself else source
  expected = (
    rf"cifar-10-binary\.tar\.gz of cifar10 is not in {source}; {pickled} is "
    r"not read, because unpickling.* https://www\.cs\.toronto\.edu/~kriz"
  )
  with pytest.raises(FileNotFoundError, match=expected):
    prepare("cifar10", path, tmp_path)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("cifar11", "x"), "did you mean 'cifar10'.*tfds build cifar11"),
    (("cifar10", None), r"cifar-10-binary\.tar\.gz from https.* --source="),
    (("digits", "x"), "included in scikit-learn"),
  ],
)
def test_wrong_calls_are_explained(arguments, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    prepare(*arguments, tmp_path)


def test_images_with_a_wrong_extension_are_encoded_again(
  source, tmp_path, caplog
):
  picture = published_archives.picture(7)
  cmyk = published_archives.encoded(picture.convert("CMYK"), "JPEG", quality=95)
  replaced = {
    "n01440764_0.JPEG": published_archives.encoded(picture, "PNG"),
    "n01440764_1.JPEG": cmyk,
  }
  directory = prepare(
    "imagenet2012", imagenet_with(source, replaced), tmp_path / "d"
  )
  report = json.loads((directory / "preparation.json").read_text())
  repaired = {pathlib.Path(k).name: v for k, v in report["repaired"].items()}
  assert repaired == {
    "n01440764_0.JPEG": "was PNG",
    "n01440764_1.JPEG": "was CMYK",
  }
  assert "2 images were re-encoded" in caplog.text
  found = stored(directory)["train"]
  for name, original in replaced.items():
    content = found[name][1]
    assert content.startswith(b"\xff\xd8")
    expected = data.decode(original, channels=3).astype(int)
    assert np.abs(data.decode(content, channels=3) - expected).mean() < 2


def test_resizing_leaves_small_images_alone(source, tmp_path):
  contents = published_archives.imagenet(source)
  large = published_archives.jpeg(9, height=90, width=120)
  folder = imagenet_with(source, {"n01440764_0.JPEG": large})
  directory = prepare("imagenet2012", folder, tmp_path / "d", resize_small=60)
  found = stored(directory)["train"]
  assert data.decode(found["n01440764_0.JPEG"][1], channels=3).shape == (
    60,
    80,
    3,
  )
  others = {n: c for n, _, c in contents["train"] if n != "n01440764_0.JPEG"}
  assert {n: found[n][1] for n in others} == others
