"""The experiment on DAGAN: its verdicts, its data, a run of a few steps."""

import dataclasses
import json
import sys
import types

import experiment_scripts
import font_files
import numpy as np
import pytest

from jaxvision import data
from jaxvision.data.preparation import hangul
from jaxvision.evaluation import low_data
from jaxvision.tasks import contract


@pytest.fixture(scope="module")
def dagan():
  return experiment_scripts.load("dagan.py")


@pytest.fixture(scope="module")
def dagan_data(dagan):
  return sys.modules["dagan_data"]


def test_the_verdict_is_the_rule_of_the_file(dagan):
  assert dagan.verdict(0.02, 0.04) == "helps"
  assert dagan.verdict(-0.02, 0.04) == "hurts"
  assert dagan.verdict(0.02, 0.06) == "no difference is shown"


def _accuracies(gains):
  """Ten draws; a method with DAGAN gains this much, up to noise."""
  rng = np.random.default_rng(0)
  base = rng.uniform(0.4, 0.6, (len(gains), 10))
  found = {k: list(base[i]) for i, k in enumerate(gains)}
  better = {
    k: list(base[i] + gain + rng.normal(0, 0.002, 10))
    for i, (k, gain) in enumerate(gains.items())
  }
  return {
    "real": found,
    "dagan": better,
    "shifts": found,
    "dagan, shifts": found,
  }


def test_the_answer_needs_four_numbers_and_no_harm(dagan):
  gains = dict.fromkeys(dagan.EXAMPLES, 0.05)
  for changed, answer in (
    ({}, "yes"),
    ({1: 0.0, 2: 0.0}, "yes"),
    ({1: 0.0, 2: 0.0, 3: 0.0}, "no"),
    ({1: -0.05}, "no"),
  ):
    lines = dagan.compare(_accuracies({**gains, **changed}))
    assert f"dagan against real: {answer}" in lines
    assert "dagan, shifts against shifts: no" in lines


def test_generated_images_follow_their_examples(dagan):
  """So that each has the label of its example."""

  same = contract.Generator(lambda variables, images, noise: images, noise=2)
  task = types.SimpleNamespace(generator=same)
  run = types.SimpleNamespace(task=task, variables=None)
  images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
  made = dagan.make_generator(run)(images, 0)
  np.testing.assert_array_equal(
    made[:, 0, 0, 0], np.tile([0, 1, 2], dagan.PER_IMAGE)
  )


def test_the_figure_shows_each_example_beside_its_images(tmp_path):
  figures = experiment_scripts.load("dagan_figures.py")
  real = np.full((2, 4, 5, 1), 9, np.uint8)
  made = np.arange(3 * 2 * 20).reshape(3, 2, 4, 5, 1).repeat(3, 0)
  sheet = figures._sheet(real, made)
  assert sheet.shape == (2 * 4, 5 + 6 + 8 * 5)
  np.testing.assert_array_equal(sheet[4:, :5], 9)
  np.testing.assert_array_equal(sheet[4:, 11:16], made[0, 1, ..., 0])
  accuracies = {
    method: {k: [0.5, 0.6, 0.7] for k in (1, 5)} for method in ("real", "dagan")
  }
  figures.draw(accuracies, real, made, tmp_path / "figure.png")
  assert (tmp_path / "figure.png").stat().st_size > 1000


def _replace(dagan_data, monkeypatch, name, **changes):
  of = dataclasses.replace(dagan_data.DATA[name], **changes)
  monkeypatch.setitem(dagan_data.DATA, name, of)


def test_a_finished_cell_is_that_of_its_generator(
  dagan, dagan_data, tmp_path, monkeypatch
):
  """Another generator is measured again; methods without one are not."""
  images = np.zeros((20, 2, 2, 1), np.uint8), np.arange(20) % 5
  _replace(dagan_data, monkeypatch, "mnist", read=lambda: (images, images))
  monkeypatch.setattr(
    dagan, "make_generator", lambda run: lambda x, seed: x.repeat(50, axis=0)
  )
  trained = []

  class Trainer:
    def __init__(self, method, classes):
      self.method = method
      assert classes == 5

    def accuracy(self, *given, **options):
      trained.append(self.method)
      return 0.5

  monkeypatch.setattr(dagan, "Trainer", Trainer)
  for fingerprint in ("a", "a", "b"):
    folder = tmp_path / fingerprint
    folder.mkdir(exist_ok=True)
    result = folder / "result.json"
    result.write_text(json.dumps({"fingerprint": fingerprint}), "utf-8")
    run = types.SimpleNamespace(workdir=folder)
    dagan.measure("mnist", run, tmp_path, examples=[1], draws=1, steps=1)
  again = [name for name, (share, _) in dagan.METHODS.items() if share]
  assert trained == [*dagan.METHODS, *again]


def test_a_finished_cell_is_that_of_its_test_images(
  dagan, dagan_data, tmp_path, monkeypatch
):
  """17 examples leave 1 image of each class for the test, 15 leave 3."""
  images = np.zeros((36, 2, 2, 1), np.uint8), np.arange(36) % 2
  _replace(
    dagan_data, monkeypatch, "hangul", read=lambda: (images, None), classes=2
  )
  monkeypatch.setattr(
    dagan, "make_generator", lambda run: lambda x, seed: x.repeat(50, axis=0)
  )

  class Trainer:
    def __init__(self, method, classes):
      pass

    def accuracy(self, real, made, test, **options):
      return float(len(test[0]))

  monkeypatch.setattr(dagan, "Trainer", Trainer)
  (tmp_path / "result.json").write_text('{"fingerprint": "a"}', "utf-8")
  run = types.SimpleNamespace(workdir=tmp_path)
  for examples, tested in (([1], 6), ([1, 17], 2), ([1], 6)):
    found = dagan.measure(
      "hangul", run, tmp_path, examples=examples, draws=1, steps=1
    )
    assert found["real"][1] == found["dagan"][1] == [tested]


def test_a_classifier_of_all_classes_has_all_images_in_their_order(dagan_data):
  images = np.arange(12).reshape(12, 1, 1, 1), np.arange(12) % 3
  found = dagan_data.draw_classes(images, classes=3, seed=5)
  for ours, given in zip(found, images, strict=True):
    np.testing.assert_array_equal(ours, given)


def test_drawn_classes_and_their_other_images(dagan_data):
  """An image shows its class and its font: 4 of 30 classes, 7 of 9 fonts."""
  labels = np.tile(np.arange(30), 9)
  shown = np.stack([labels, np.repeat(np.arange(9), 30)], axis=1)
  pool = shown.reshape(270, 1, 2, 1), labels
  sets = []
  for seed in range(3):
    drawn = dagan_data.draw_classes(pool, classes=4, seed=seed)
    classes = np.unique(drawn[0][:, 0, 0, 0])
    assert len(classes) == 4 and len(drawn[1]) == 36
    np.testing.assert_array_equal(classes[drawn[1]], drawn[0][:, 0, 0, 0])
    others = dagan_data.others(drawn, examples=7, seed=seed)
    assert np.bincount(others[1]).tolist() == [2] * 4
    for count in (1, 7):
      rows = low_data.draw(drawn[1], examples=count, seed=seed)
      trained = set(map(tuple, drawn[0][rows].reshape(-1, 2).tolist()))
      tested = set(map(tuple, others[0].reshape(-1, 2).tolist()))
      assert len(trained) == 4 * count and not trained & tested
    sets.append(tuple(classes))
  assert len(set(sets)) == 3
  with pytest.raises(ValueError, match="9 examples of each class are all"):
    dagan_data.others(drawn, examples=9, seed=0)


def _write_fonts(folder):
  """All fonts, with 4 syllables of each split, as random rows of blocks."""
  rng = np.random.default_rng(0)
  places = [*range(4), *range(1778, 1782), *range(1890, 1894)]
  shapes = {place: rng.random((5, 5)) < 0.6 for place in places}
  folder.mkdir()
  for font in hangul.FONTS:
    size = int(rng.integers(12, 20))
    characters = {
      hangul.SYLLABLES[place]: [
        (size * x, size * y, size * (x + 1), size * (y + 1))
        for x, y in np.argwhere(shape).tolist()
      ]
      for place, shape in shapes.items()
    }
    content = font_files.ttf(characters, em=112)
    (folder / f"{font}.ttf").write_bytes(content)


@pytest.mark.slow
def test_a_small_run_on_syllables(
  dagan, dagan_data, tmp_path, monkeypatch, capsys
):
  """It trains both networks, and a second run reads all of its cells."""
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
  _write_fonts(tmp_path / "fonts")
  data.prepare("hangul", source=tmp_path / "fonts", allow_partial=True)
  small = {
    "train.batch_size": 48,
    "evaluate.every": "2 steps",
    "model.options.generator_sizes": (4,),
    "model.options.critic_sizes": (4,),
  }
  _replace(
    dagan_data, monkeypatch, "hangul", classes=3, write=lambda folder: small
  )
  monkeypatch.setattr(dagan, "MODEL", {**dagan.MODEL, "blocks": (1,)})
  words = "--data hangul --examples 1 2 --draws 2 --steps 2 --dagan_steps 2"
  words = [*words.split(), "--workdir", str(tmp_path / "run")]
  dagan.main(words)
  first = capsys.readouterr().out
  assert "seen classes: " in first and "new classes: " in first
  assert "dagan against real: " in first and "| 2 |" in first
  found = json.loads((tmp_path / "run" / "accuracies.json").read_text("utf-8"))
  assert len(found) == len(dagan.METHODS) * 2 * 2
  assert all(0 <= each <= 1 for each in found.values())
  monkeypatch.setattr(
    dagan, "Trainer", lambda *given: pytest.fail(f"{given} is trained again")
  )
  dagan.main(words)
  assert capsys.readouterr().out.splitlines()[-8:] == first.splitlines()[-8:]
