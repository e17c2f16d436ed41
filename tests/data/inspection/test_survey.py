"""Surveys: each image is read once, and its problems are recorded."""

import pathlib

import numpy as np
import published_archives
import pytest

from jaxvision import data
from jaxvision.data.inspection import survey


@pytest.fixture
def folder(tmp_path):
  for name in ("cat", "dog"):
    (tmp_path / name).mkdir()
    for number in range(5):
      content = published_archives.jpeg(number, height=20 + number, width=30)
      (tmp_path / name / f"{number}.jpg").write_bytes(content)
  return tmp_path


def look(folder, most=None):
  config = data.Source(
    kind="folder", name=str(folder), data_dir=None, num_classes=0
  )
  split = data.open_dataset(config, "train")
  return survey.make_survey(split, most=most, channels=3, threads=2)


def test_all_images_are_seen(folder):
  seen = look(folder)
  assert sorted(seen.sizes[:, 0]) == sorted([*range(20, 25)] * 2)
  assert set(seen.sizes[:, 1]) == {30}
  assert len(set(seen.hashes)) == 5
  assert seen.labels.tolist().count(0) == 5
  files = [seen.split.ids([i])[0] for i in seen.indices.tolist()]
  sizes = [pathlib.Path(path).stat().st_size for path in files]
  assert seen.num_bytes.tolist() == sizes
  assert seen.unreadable == {} and seen.seconds > 0


def test_a_sample_is_spread_over_the_split(folder):
  assert look(folder, most=4).indices.tolist() == [0, 3, 6, 9]
  assert len(look(folder, most=100).indices) == 10


def test_unreadable_images_have_no_size(folder):
  (folder / "cat" / "2.jpg").write_bytes(b"no image")
  seen = look(folder)
  assert list(seen.unreadable) == [str(folder / "cat" / "2.jpg")]
  assert np.sum(seen.sizes[:, 0] == 0) == 1
