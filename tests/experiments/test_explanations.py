"""The study of heat maps: its verdicts, its classifier, and a small run."""

import background_sets
import experiment_scripts
import numpy as np
import pytest
import small_runs
from PIL import Image

from jaxvision import data

SIDE = 16


@pytest.fixture(scope="module")
def study():
  return experiment_scripts.load("explanations.py")


@pytest.mark.parametrize(
  ("values", "verdict"),
  [
    # (pointing, deletion, insertion) of the method in two seeds.
    (((0.8, 0.1, 0.6), (0.8, 0.1, 0.6)), "finds the object, explains"),
    (((0.8, 0.1, 0.3), (0.8, 0.1, 0.3)), "finds the object"),
    (((0.4, 0.1, 0.6), (0.4, 0.1, 0.6)), "explains the network"),
    (((0.5, 0.4, 0.6), (0.9, 0.4, 0.6)), "no better than a baseline"),
    # Above the random map, and not above the centre.
    (((0.45, 0.4, 0.6), (0.45, 0.4, 0.6)), "no better than a baseline"),
  ],
)
def test_verdicts_need_paired_differences_from_both_baselines(
  study, values, verdict
):
  baselines = {
    "centre": {"pointing": 0.5, "deletion": 0.3, "insertion": 0.4},
    "random": {"pointing": 0.2, "deletion": 0.3, "insertion": 0.5},
  }
  results = [
    {**baselines, "cam": dict(zip(study.MEASURES, each, strict=True))}
    for each in values
  ]
  found = study.judge(results, "cam")
  assert found.startswith(verdict)


@pytest.fixture
def small(study, monkeypatch, tmp_path):
  """A small network of ImageNet, photographs and pictures."""
  run = small_runs.run_of("resnet")
  monkeypatch.setattr(study, "SIZE", SIDE)
  monkeypatch.setattr(study, "METHODS", ("gradcam", "gradient"))
  monkeypatch.setattr(study, "open_network", lambda weights: run)
  background_sets.write_cut_outs(tmp_path / "photographs.npz", per_class=6)
  (tmp_path / "pictures").mkdir()
  for number in range(3):
    picture = np.random.default_rng(number).integers(0, 256, (40, 40, 3))
    Image.fromarray(picture.astype(np.uint8)).save(
      tmp_path / "pictures" / f"{number}.png"
    )
  return run, tmp_path


def test_the_new_classifier_has_the_logits_of_the_regression(study, small):
  run, folder = small
  scenes = study.compose(
    str(folder / "photographs.npz"), folder / "pictures", folder / "s", seed=0
  )
  fitted, accuracy = study.fit_classifier(run, scenes)
  opened = data.open_variant(scenes, "original", split="test")
  batch = data.make_batches(opened, batch_size=opened.num_examples).at(0)
  pixels = data.normalize(batch["image"], run.normalization)
  logits = fitted.model.apply(fitted.variables, pixels, train=False)
  assert logits.shape[1] == len(fitted.class_names) == 3
  right = np.asarray(logits).argmax(axis=1) == batch["label"]
  assert accuracy == pytest.approx(right.mean())


@pytest.mark.slow
def test_the_study_runs_and_resumes(study, small, capsys):
  _, folder = small
  words = ["--weights", "x", "--pictures", str(folder / "pictures")]
  words += ["--data", str(folder / "photographs.npz")]
  words += ["--workdir", str(folder / "study"), "--seeds", "0", "1"]
  study.main(words)
  said = capsys.readouterr().out
  rows = [line for line in said.splitlines() if line.startswith("|")]
  assert [row.split("|")[1].strip() for row in rows[2:]] == [
    *("gradcam", "gradient", "centre", "random")
  ]
  study.main(words)
  assert capsys.readouterr().out == said
