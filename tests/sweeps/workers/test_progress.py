"""The view shows the progress of a sweep, in a terminal and in a pipe."""

import io

import pytest
import sweep_cases

from jaxvision import sweeps
from jaxvision.sweeps.study import study
from jaxvision.sweeps.study.study import TrialStatus
from jaxvision.sweeps.workers import progress, worker

_AIM = sweeps.maximize("validation/top1")


class _Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def opened(tmp_path):
  """A sweep of four trials: complete, failed, half-trained, and waiting."""
  space = {sweep_cases.RATE: sweeps.grid(0.1, 0.2, 0.3, 0.4)}
  opened = sweep_cases.open_sweep(tmp_path, sweep_cases.experiment(space))
  worker.take(opened, study.claim(opened.study), sweep_cases.run)
  failed = sweeps.Outcome("failed", "out of memory")
  worker.take(opened, study.claim(opened.study), lambda *_, **__: failed)
  trial = study.claim(opened.study)
  worker.begin(opened, trial)
  study.report(opened.study, trial, 500, 0.25)
  return opened


def test_a_pipe_gets_a_line_for_each_trial_that_ended(opened):
  stream = io.StringIO()
  with sweeps.open_view(opened, stream=stream) as look:
    assert not look()
    assert not look()
  lines = stream.getvalue().splitlines()
  assert lines[0] == "trial 0 complete 0.1  learning_rate=0.1"
  assert lines[2] == "trial 1 failed  learning_rate=0.2 (out of memory)"
  counts, time = lines[3].split(", best ")
  assert counts == "  1 complete, 1 failed, 1 running, 1 waiting"
  assert time.startswith("trial 0 with 0.1, 0:00:0")
  assert len(lines) == 4


def test_a_terminal_gets_a_table_of_the_best_and_the_running(opened):
  stream = _Terminal()
  with sweeps.open_view(opened, stream=stream) as look:
    look()
  shown = stream.getvalue()
  assert "1 complete, 1 failed, 1 running, 1 waiting" in shown
  assert "learning_rate=0.1" in shown and "learning_rate=0.3" in shown
  assert "50%" in shown and "0.25" in shown
  assert "learning_rate=0.4" not in shown


def test_it_is_over_when_all_have_ended(opened):
  for _ in range(2):
    study.requeue_dead(opened.study)
  done = sweeps.Outcome("failed", "full")
  worker.take(opened, study.claim(opened.study), lambda *_, **__: done)
  with sweeps.open_view(opened, stream=io.StringIO()) as look:
    assert not look()
    sweep_cases.stop_heartbeats(opened.workdir)
    worker.take(opened, study.claim(opened.study), sweep_cases.run)
    assert look()


def test_the_time_left_follows_from_the_mean_time_per_trial():
  def status(number, state, began=None, seconds=None, value=None):
    return TrialStatus(number, 1, state, value, {}, began, seconds)

  statuses = [
    status(0, "complete", 100.0, 10.0, 0.5),
    status(1, "complete", 100.0, 30.0, 0.7),
    # Days later: 40 seconds of work for three trials.
    status(2, "pruned", 90000.0, 10.0),
    *(status(n, "running", 90005.0) for n in (3, 4)),
    *(status(n, "waiting") for n in (5, 6, 7, 8)),
  ]
  assert progress.summary(_AIM, statuses) == (
    "2 complete, 1 pruned, 2 running, 4 waiting, best trial 1 with 0.7, "
    "0:01:20 left"
  )
  folded = progress.summary(_AIM, statuses, by_best=False)
  assert "4 waiting, 0:01:20 left" in folded and "best" not in folded
  least = sweeps.minimize("validation/loss")
  assert [s.number for s in progress.ranked(least, statuses)] == [0, 1]
