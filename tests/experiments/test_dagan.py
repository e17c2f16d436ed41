"""The experiment on DAGAN: its verdicts, and a run of a few steps."""

import json
import types

import experiment_scripts
import numpy as np
import pytest

from jaxvision.tasks import contract


@pytest.fixture(scope="module")
def dagan():
  return experiment_scripts.load("dagan.py")


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


def test_a_finished_cell_is_that_of_its_generator(dagan, tmp_path, monkeypatch):
  """Another generator is measured again; methods without one are not."""
  images = np.zeros((20, 2, 2, 1), np.uint8), np.arange(20) % 5 + 5
  monkeypatch.setattr(dagan, "read_digits", lambda split, digits: images)
  monkeypatch.setattr(
    dagan, "make_generator", lambda run: lambda x, seed: x.repeat(50, axis=0)
  )
  trained = []

  class Trainer:
    def __init__(self, method):
      self.method = method

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
    dagan.measure(run, tmp_path, examples=[1], draws=1, steps=1)
  again = [name for name, (share, _) in dagan.METHODS.items() if share]
  assert trained == [*dagan.METHODS, *again]
