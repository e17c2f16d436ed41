"""The photographs and the pictures of the study of backgrounds."""

import re

import experiment_scripts
import numpy as np
import pytest
import real_packages

from jaxvision import data

pytestmark = pytest.mark.real


@pytest.fixture
def study(monkeypatch):
  """The study with one scene of 32x32 pixels of each photograph."""
  script = experiment_scripts.load("backgrounds.py")
  monkeypatch.setattr(script, "SIZE", 32)
  monkeypatch.setattr(script, "SCENES", dict.fromkeys(script.SCENES, 1))
  return script


@pytest.fixture
def pictures(study, tmp_path):
  """The folder that the commands at the top of the study make."""
  folder = tmp_path / "pictures"
  folder.mkdir()
  listed = re.findall(r"skimage/data/\{(.*)\}\.(\w+)", study.__doc__)
  for names, ending in listed:
    for name in names.split(","):
      file = f"{name}.{ending}"
      stored = real_packages.path("skimage/data") / file
      (folder / file).write_bytes(stored.read_bytes())
  return folder


def test_each_class_has_two_pictures_and_no_photograph_is_left_out(
  study, pictures, tmp_path
):
  data.prepare(
    "stamps",
    source=real_packages.path(real_packages.STAMPS),
    data_dir=tmp_path,
  )
  source = data.Source(kind="tfds", name="stamps", data_dir=tmp_path)
  arrays = study.read(source)
  assert np.bincount(arrays["labels"]).tolist() == [35, 11, 25, 26, 9, 65, 18]
  assigned = data.assign_pictures(pictures, arrays["class_names"].tolist())
  assert [len(each) for each in assigned.paths] == [2] * 7
  variants = study.make_variants(arrays, pictures, tmp_path, seed=0)
  counts = {
    split: {
      data.open_variant(variants, name, split=split).num_examples
      for name in data.VARIANTS
    }
    for split in study.SCENES
  }
  assert counts == {"train": {125}, "validation": {64}, "test": {64}}
