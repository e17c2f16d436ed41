"""A trial's run says how it went, whatever becomes of it."""

import errno
import os

import pytest
import tiny_runs

from jaxvision import sweeps
from jaxvision.sweeps import vectorized
from jaxvision.training.loop import train_loop


@pytest.fixture
def run(tmp_path):
  """Runs a tiny trial with overrides, watched."""
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
  """A watch that raises an error in the middle of the training."""

  def watch(*_):
    raise error

  return watch


def test_a_run_that_is_watched_to_its_end_is_complete(run):
  seen = []

  def watch(step, total, values):
    seen.append((step, total, sorted(values)))
    return ""

  assert run(watch) == sweeps.Outcome("complete")
  assert [each[:2] for each in seen] == [(2, 6), (4, 6), (6, 6)]
  assert "validation/top1" in seen[0][2]


def test_who_watches_can_end_it(run, tmp_path):
  outcome = run(lambda step, *_: "slow" if step == 4 else "")
  assert outcome == sweeps.Outcome("pruned", "slow")
  text = (tmp_path / "run" / "result.json").read_text()
  assert '"status": "ended early: slow"' in text and '"step": 4' in text


def test_a_loss_that_is_no_number_is_a_failure(run):
  outcome = run(optimizer__learning_rate=1e30, optimizer__name="sgd")
  assert outcome.state == "failed"
  assert outcome.reason.startswith("diverged: stopped at step ")


def test_a_config_that_does_not_go_together_is_a_failure(run):
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
def test_what_it_failed_of_is_said(run, error, reason):
  assert run(_raising(error)) == sweeps.Outcome("failed", reason)


@pytest.mark.parametrize(
  "error",
  [
    train_loop.Preempted("saved"),
    sweeps.Lost("to another"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
  ],
)
def test_what_is_no_trials_fault_is_raised(run, error):
  with pytest.raises(type(error)):
    run(_raising(error))
