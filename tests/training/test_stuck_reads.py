"""Reads that never return, as on a disk that no longer answers.

A run that must stop saves its state and ends. It resumes when the disk
answers again.
"""

import json

import pytest
import spawned

from jaxvision import training
from jaxvision.data.batches import prefetch
from jaxvision.training.loop import results, train_loop

_SOURCE = """
import functools, os, pathlib, signal, threading, time
import numpy as np
from jaxvision import data

def read(split, stuck, indices):
  if stuck.exists() and stuck.read_text() in [f"{split} {i}" for i in indices]:
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(30)
    stuck.with_suffix(".returned").touch()
  return [(np.full((4, 4, 1), 50 * (i % 4), np.uint8), i % 4) for i in indices]

def load(name):
  return {
    split: data.Dataset(
      name=name,
      split=split,
      class_names=tuple("abcd"),
      num_examples=48,
      ids=lambda indices: [str(i) for i in indices],
      labels=lambda: np.arange(48) % 4,
      read=functools.partial(read, split, pathlib.Path(name)),
      content=lambda: b"",
    )
    for split in ("train", "validation")
  }
"""


@pytest.fixture
def train(tmp_path, monkeypatch):
  """A function that trains in a folder; a read of one example never returns."""
  monkeypatch.setattr(results.report, "write_report", lambda _: None)
  monkeypatch.setattr(prefetch, "_ENDS_WITHIN", 0.1)
  (tmp_path / "source.py").write_text(_SOURCE)
  stuck = tmp_path / "stuck"

  def run(example, **options):
    stuck.write_text(example) if example else stuck.unlink()
    return training.train(
      spawned.recipe("digits.py:mlp"),
      workdir=tmp_path / "run",
      overrides={
        "data.kind": f"{tmp_path}/source.py:load",
        "data.name": str(stuck),
        "data.train": "train",
        "data.validation": "validation",
        "data.test": "",
        "data.placement": "host",
        "data.device_transforms": (),
        "model.options": {"hidden": (8,)},
        "train.batch_size": 16,
        "train.duration": "6 steps",
        "train.steps_per_dispatch": 1,
        "evaluate.every": "6 steps",
        "checkpoint.every": "6 steps",
        "log.tensorboard": False,
        **options,
      },
    )

  return run


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize(
  ("example", "options", "said"),
  [
    ("train 0", {}, "while the data were opened"),
    ("train 40", {"data.placement": "device"}, "while the step was compiled"),
    ("train 40", {"data.threads": 4}, r"stopped and saved at step [1-3]$"),
    ("train 40", {"data.threads": 0}, r"stopped and saved at step [1-3]$"),
    ("validation 40", {}, r"stopped and saved at step \d$"),
  ],
)
def test_a_run_stops_during_a_read_that_never_returns(
  tmp_path, train, example, options, said
):
  with pytest.raises(train_loop.Preempted, match=said):
    train(example, **options)
  assert not (tmp_path / "stuck.returned").exists()
  if options == {"data.threads": 0}:
    assert train("", **options)["status"] == "finished"
    stopped = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert [start["step"] > 0 for start in stopped] == [False, True]
