"""The study of heat maps on digits: its scenes, its methods, a small run."""

import experiment_scripts
import numpy as np
import pytest
from PIL import Image

from jaxvision import data, interpret, models


@pytest.fixture
def study(tmp_path, monkeypatch):
  """The study with few digits, dark pictures and short trainings."""
  script = experiment_scripts.load("explanations_digits.py")
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in (("train", 40), ("test", 24)):
    labels = np.arange(count) % 5
    images = rng.integers(0, 120, (count, 28, 28))
    # A bar of each digit is brighter than the threshold.
    for image, label in zip(images, labels, strict=True):
      image[4 + 5 * label : 7 + 5 * label, 5:20] = 255
    arrays[f"{split}_images"] = images.astype(np.uint8)
    arrays[f"{split}_labels"] = labels
  np.savez(tmp_path / "digits.npz", **arrays)
  (tmp_path / "pictures").mkdir()
  for number in range(2):
    picture = rng.integers(0, 100, (90, 70, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "pictures" / f"{number}.png")
  source = data.Source(kind="npz", name=str(tmp_path / "digits.npz"))
  monkeypatch.setattr(script, "DIGITS", source)
  monkeypatch.setattr(script, "COUNTS", {"train": 16, "test": 8})
  return script


@pytest.fixture
def scenes(study, tmp_path):
  path = tmp_path / "scenes.npz"
  return study.compose(tmp_path / "pictures", path, seed=0)


def test_only_the_digit_is_in_its_mask(scenes):
  arrays = np.load(scenes)
  for split, count in (("train", 16), ("test", 8)):
    images = arrays[f"{split}_images"]
    masks = arrays[f"{split}_segmentation_masks"] > 0
    assert images.shape == (count, 56, 56, 3)
    # Pictures are darker than 100; digits are white.
    np.testing.assert_array_equal(images.min(axis=-1) == 255, masks)
    np.testing.assert_array_equal(images.max(axis=-1) >= 100, masks)
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), 45)
    assert set(arrays[f"{split}_labels"]) <= {0, 1, 2, 3}
    places = {tuple(np.argwhere(mask)[0]) for mask in masks}
    assert len(places) > count / 2


def test_finished_scenes_are_found(study, scenes, tmp_path):
  before = scenes.stat().st_mtime_ns
  study.compose(tmp_path / "pictures", scenes, seed=0)
  assert scenes.stat().st_mtime_ns == before


@pytest.mark.parametrize("network", ["convnet", "vit"])
def test_all_methods_that_fit_a_network_are_judged(study, network):
  values = study.NETWORKS[network]
  model = models.create(
    values["model.name"], num_classes=4, **values["model.options"]
  )
  fitting = interpret.fitting(model, image_shape=(study.SIZE, study.SIZE, 3))
  judged = {each.partition("(")[0] for each in study.METHODS[network]}
  assert judged == set(fitting)


@pytest.mark.slow
def test_the_study_runs_and_resumes(study, tmp_path, monkeypatch, capsys):
  methods = {"convnet": ("gradcam",), "vit": ("attention", "gradient")}
  monkeypatch.setattr(study, "METHODS", methods)
  for values in study.NETWORKS.values():
    monkeypatch.setitem(values, "train.duration", "2 steps")
  monkeypatch.setitem(study._TRAINING, "train.batch_size", 8)
  monkeypatch.setitem(study._TRAINING, "evaluate.batch_size", 8)
  words = ["--pictures", str(tmp_path / "pictures"), "--seeds", "0", "1"]
  words += ["--workdir", str(tmp_path / "study")]
  study.main(words)
  said = capsys.readouterr().out
  rows = [
    line.split("|")[1].strip() for line in said.splitlines() if "|" in line
  ]
  baselines = ["centre", "random"]
  assert rows[2:5] == ["gradcam", *baselines]
  assert rows[7:] == ["attention", "gradient", *baselines]
  study.main(words)
  assert capsys.readouterr().out.endswith(said[said.index("convnet, acc") :])
