"""Detection of missing, truncated and foreign shards."""

import dataclasses

import published_archives
import pytest
from preparations import as_tfrecord, prepare

from jaxvision.data import preparation
from jaxvision.data.inspection import integrity
from jaxvision.data.sources import prepared


@pytest.fixture
def directory(tmp_path, monkeypatch):
  """A prepared ImageNet of 9 training images in shards of at most 2."""
  source = tmp_path / "source"
  source.mkdir()
  published_archives.imagenet(source)
  small = dataclasses.replace(preparation.RECIPES["imagenet2012"], shard_size=2)
  monkeypatch.setitem(preparation.RECIPES, "imagenet2012", small)
  return prepare("imagenet2012", source, tmp_path)


def check(directory):
  data_dir = directory.parents[1]
  found = prepared.find("imagenet2012", data_dir=data_dir)
  return integrity.check_files(found)


def shard(directory, number):
  name = f"imagenet2012-train.array_record-{number:05d}-of-00005"
  return directory / name


def test_new_data_have_no_findings(directory):
  assert check(directory) == []


def test_shards_that_are_missing(directory):
  shard(directory, 3).unlink()
  shard(directory, 1).unlink()
  (found,) = check(directory)
  assert found.severity == "error"
  assert found.text.startswith("2 of 5 shards of train: ")
  assert f"{shard(directory, 1).name} is missing" in found.text
  assert "prepare the data set again" in found.remedy


@pytest.mark.parametrize("size", [0, 10, -1])
def test_shards_that_are_cut(directory, size):
  path = shard(directory, 2)
  path.write_bytes(path.read_bytes()[:size])
  (found,) = check(directory)
  assert (
    f"1 of 5 shards of train: {path.name} is damaged or truncated" in found.text
  )


def test_shards_of_another_size(directory):
  # The first has one example, the second two.
  shard(directory, 0).write_bytes(shard(directory, 1).read_bytes())
  (found,) = check(directory)
  assert f"{shard(directory, 0).name} has 2 records, not 1" in found.text


def test_a_tfrecord_without_an_index_and_an_unfinished_folder_are_noted(
  directory,
):
  as_tfrecord(directory)
  unfinished = directory.with_name("5.2.0.unfinished")
  unfinished.mkdir()
  index, left = check(directory)
  assert {index.severity, left.severity} == {"note"}
  assert "TFRecord without an index" in index.text
  source = directory.parents[1]
  assert f"data prepare imagenet2012 --source={source}" in index.remedy
  assert str(unfinished) in left.text
