"""The few-shot study: its data, and a short run."""

import json

import experiment_scripts
import numpy as np
import pytest


@pytest.fixture(scope="module")
def study():
  return experiment_scripts.load("bit_transfer.py")


def test_old_and_new_digits_are_apart(study):
  (old, old_labels), (new, new_labels) = study.load()
  assert len(old) + len(new) == 1797
  assert set(old_labels) == set(new_labels) == set(range(5))
  (pool, labels), (test, _) = study.hold_out(new, new_labels)
  assert len(pool) + len(test) == len(new)
  rows = study.draw(labels, number=5, seed=0)
  assert np.bincount(labels[rows]).tolist() == [5] * 5
  # The examples of fewer shots are among those of more.
  assert set(study.draw(labels, number=1, seed=0)) <= set(rows)
  assert len(study.draw(labels, number=0, seed=0)) == len(labels)
  images, turns = study.turned(pool[:7], labels[:7])
  assert images.shape == (28, 8, 8, 1)
  assert (turns - np.tile(labels[:7], 4)).tolist() == [
    5 * turn for turn in range(4) for _ in range(7)
  ]
  np.testing.assert_array_equal(images[7], np.rot90(pool[0]))


@pytest.mark.slow
def test_all_ways_are_compared(study, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(study, "SHOTS", (1, 5))
  monkeypatch.setitem(study._PRETRAINING, "train.duration", "1 epochs")
  rule = {
    "train.duration": "4 steps",
    "schedule.name": "constant",
    "schedule.options": {},
    "schedule.warmup": "0 steps",
  }
  monkeypatch.setattr(study, "_SMALL", {**study._SMALL, **rule})
  study.main(["--workdir", str(tmp_path), "--seeds", "0", "1"])
  results = json.loads((tmp_path / "results.json").read_text())
  assert [set(each["5"]) for each in results] == [set(study.WAYS)] * 2
  assert all(0 <= value <= 1 for value in results[0]["1"].values())
  assert (tmp_path / "bit_transfer.png").stat().st_size > 10_000
  assert "| ridge, features |" in capsys.readouterr().out
