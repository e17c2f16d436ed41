"""A run of a trial returns its outcome, also if the run fails."""

import errno
import os

import pytest
import tiny_runs

from jaxvision import sweeps
from jaxvision.sweeps import vectorized
from jaxvision.training.loop import train_loop


@pytest.fixture
def run(tmp_path):
  """Runs a tiny trial with overrides and a callback."""
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)

  def run_one(watch=lambda *_: "", **overrides):
    dotted = {key.replace("__", "."): v for key, v in overrides.items()}
    return vectorized.run(
      str(tmp_path / "recipe.py"),
      workdir=tmp_path / "run",
      overrides={"log.tensorboard": False, **dotted},
      watch=watch,
    )

  return run_one


def _raising(error):
  """A callback that raises an error in the middle of the training."""

  def watch(*_):
    raise error

  return watch


def test_a_run_with_a_callback_completes(run):
  seen = []

  def watch(step, total, values):
    seen.append((step, total, sorted(values)))
    return ""

  assert run(watch) == sweeps.Outcome("complete")
  assert [each[:2] for each in seen] == [(2, 6), (4, 6), (6, 6)]
  assert "validation/top1" in seen[0][2]


def test_the_callback_can_end_a_run(run, tmp_path):
  outcome = run(lambda step, *_: "slow" if step == 4 else "")
  assert outcome == sweeps.Outcome("pruned", "slow")
  text = (tmp_path / "run" / "result.json").read_text()
  assert '"status": "ended early: slow"' in text and '"step": 4' in text


def test_a_nan_loss_is_a_failure(run):
  outcome = run(optimizer__learning_rate=1e30, optimizer__name="sgd")
  assert outcome.state == "failed"
  assert outcome.reason.startswith("diverged: stopped at step ")


def test_an_inconsistent_config_is_a_failure(run):
  outcome = run(model__name="resnet18", model__options__depth=3)
  assert outcome.state == "failed"
  assert "depth" in outcome.reason


@pytest.mark.parametrize(
  ("error", "reason"),
  [
    (MemoryError("no room"), "out of memory: no room"),
    (
      RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating 3 GiB"),
      "out of memory: RESOURCE_EXHAUSTED: Out of memory allocating 3 GiB",
    ),
    (KeyError("name"), "KeyError: 'name'"),
  ],
)
def test_a_failure_states_its_reason(run, error, reason):
  assert run(_raising(error)) == sweeps.Outcome("failed", reason)


@pytest.mark.parametrize(
  "error",
  [
    train_loop.Preempted("saved"),
    sweeps.Lost("to another"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
  ],
)
def test_errors_outside_a_trial_are_raised(run, error):
  with pytest.raises(type(error)):
    run(_raising(error))
