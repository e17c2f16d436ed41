"""A killed run of a captioner ends with the same result as a whole run.

The runs are real processes. "The same" is as in tests/training/test_resume.py.
"""

import json
import signal

import captioned_squares
import pytest
import spawned

pytestmark = pytest.mark.slow

# Each step draws a caption, dropout and the examples predicted in parallel.
_OPTIONS = {
  "task__options__captions": 2,
  "task__options__dropout": 0.3,
  "task__options__masked_share": 0.5,
  "schedule__name": "constant",
  "train__duration": "120 steps",
  "evaluate__every": "40 steps",
  "checkpoint__every": "30 steps",
  "log__every": "10 steps",
}


def _start(path, workdir):
  file, overrides = captioned_squares.recipe(path, **_OPTIONS)
  values = [f"--config.{key}={value}" for key, value in overrides.items()]
  return spawned.start(
    ["train", "--config", file, "--workdir", str(workdir), *values],
    output=workdir.with_suffix(".txt"),
  )


def _last_step(workdir):
  try:
    lines = spawned.measured(workdir)
  except json.JSONDecodeError:  # the process is in the middle of a line
    return 0
  return lines[-1]["step"] if lines else 0


def _checkpoints(workdir):
  found = (workdir / "checkpoints").glob("*")
  return [each.name for each in found if each.name.isdecimal()]


def test_killed_before_the_first_checkpoint_and_after_others(tmp_path):
  """Before the first one there is a vocabulary in task/, but no state."""
  path = captioned_squares.write(tmp_path / "data.npz")
  whole, workdir = tmp_path / "whole", tmp_path / "killed"
  assert _start(path, whole).wait() == 0, whole.with_suffix(".txt").read_text()
  vocabulary = workdir / "task" / "vocabulary.json"

  kill = signal.SIGKILL
  assert _start(path, workdir).end_when(kill, vocabulary.exists) == -kill
  assert not _checkpoints(workdir)
  written = vocabulary.stat().st_mtime_ns

  def has_passed_two_checkpoints():
    return _last_step(workdir) >= 70

  command = _start(path, workdir)
  assert command.end_when(kill, has_passed_two_checkpoints) == -kill
  assert _checkpoints(workdir) and _last_step(workdir) < 120

  assert _start(path, workdir).wait() == 0
  said = workdir.with_suffix(".txt").read_text()
  assert "resuming from step" in said
  assert vocabulary.stat().st_mtime_ns == written
  assert (
    vocabulary.read_bytes() == (whole / "task" / "vocabulary.json").read_bytes()
  )
  assert spawned.measured(workdir) == spawned.measured(whole)
  ours, theirs = spawned.result(workdir), spawned.result(whole)
  for key in ("fingerprint", "step", "best", "final", "status"):
    assert ours[key] == theirs[key]
