"""The outcome of a trial for each outcome of its run."""

import json
import math
import os
import signal

import pytest
import sweep_cases

from jaxvision import sweeps
from jaxvision.processes import preemption
from jaxvision.sweeps.study import study
from jaxvision.sweeps.workers import folder, worker

_SPACE = {sweep_cases.RATE: sweeps.grid(0.1, 0.2, 0.3, 0.4)}


class _Interrupted(Exception):
  pass


def _open(workdir, space=_SPACE, **fields):
  return sweep_cases.open_sweep(
    workdir, sweep_cases.experiment(space, **fields)
  )


def _work(opened, run=sweep_cases.run):
  sweeps.work(opened, run, interrupted=_Interrupted)


def _states(opened):
  return [each.state for each in study.statuses(opened.study)]


def test_all_trials_are_run_once_and_written_down(tmp_path):
  opened, calls = _open(tmp_path, overrides={"seed": 4}), []

  def run(recipe, **arguments):
    calls.append((recipe, arguments["overrides"]))
    return sweep_cases.run(recipe, **arguments)

  _work(opened, run)
  assert calls == [
    ("recipe.py", {"seed": 4, sweep_cases.RATE: rate})
    for rate in (0.1, 0.2, 0.3, 0.4)
  ]
  values = [each.value for each in study.statuses(opened.study)]
  assert values == [0.1, 0.2, 0.3, 0.4]
  known = folder.read_trial(tmp_path, 2)
  assert (known["state"], known["value"]) == ("complete", 0.3)
  assert known["settings"] == {sweep_cases.RATE: 0.3}
  _work(_open(tmp_path, overrides={"seed": 4}), run)
  assert len(calls) == 4


def test_failed_trials_are_recorded_and_the_sweep_continues(tmp_path):
  opened = _open(tmp_path)

  def run(recipe, *, workdir, overrides, watch):
    rate = overrides[sweep_cases.RATE]
    if rate == 0.2:
      return sweeps.Outcome("failed", "out of memory: 3 GiB")
    if rate == 0.3:  # logs another metric than the objective
      sweep_cases.write_metrics(workdir, **{"train/loss": 1.0})
      return sweeps.Outcome("complete")
    if rate == 0.4:
      sweep_cases.write_metrics(workdir, **{"validation/top1": math.nan})
      return sweeps.Outcome("complete")
    return sweep_cases.run(
      recipe, workdir=workdir, overrides=overrides, watch=watch
    )

  _work(opened, run)
  assert _states(opened) == ["complete", "failed", "failed", "failed"]
  reasons = [folder.read_trial(tmp_path, n)["reason"] for n in range(4)]
  assert reasons[1] == "out of memory: 3 GiB"
  assert "unknown metric 'validation/top1'" in reasons[2]
  assert reasons[3] == "validation/top1 is nan"


def test_halving_ends_the_worse_runs(tmp_path):
  space = {sweep_cases.RATE: sweeps.grid(0.4, 0.1, 0.3, 0.2)}
  opened = _open(tmp_path, space, pruning=sweeps.halving(2, first=0.5))
  _work(opened)
  # One after another: each is compared with the earlier trials only.
  assert _states(opened) == ["complete", "pruned", "pruned", "pruned"]
  assert folder.read_trial(tmp_path, 1)["reason"] == (
    "validation/top1 0.1 at step 1 of 2 is not among the best 1/2"
  )


def test_an_interrupted_trial_is_given_back(tmp_path):
  opened = _open(tmp_path)

  def interrupted(recipe, **arguments):
    raise _Interrupted

  with pytest.raises(_Interrupted):
    _work(opened, interrupted)
  assert _states(opened) == ["waiting"] * 4
  _work(opened)
  assert _states(opened) == ["complete"] * 4


def test_a_signal_in_a_trial_that_ends_stops_the_worker_after_it(tmp_path):
  opened = _open(tmp_path)

  def run(recipe, **arguments):
    with preemption.requested([signal.SIGTERM]):
      os.kill(os.getpid(), signal.SIGTERM)
    return sweep_cases.run(recipe, **arguments)

  with pytest.raises(_Interrupted, match="between two trials"):
    _work(opened, run)
  assert _states(opened) == ["complete", *["waiting"] * 3]


@pytest.mark.parametrize(("step", "value"), [(3, 0.7), (2, 0.9), (1, 0.5)])
def test_the_objective_is_that_of_the_checkpoint_of_the_results(
  tmp_path, step, value
):
  """Step 3 is the last; another one was restored as the best."""
  opened = _open(tmp_path)

  def run(recipe, *, workdir, overrides, watch):
    workdir.mkdir(parents=True, exist_ok=True)
    lines = [
      {"step": i + 1, "validation/top1": top1}
      for i, top1 in enumerate((0.5, 0.9, 0.7))
    ]
    text = "\n".join(map(json.dumps, lines))
    (workdir / "metrics.jsonl").write_text(text)
    result = {
      "status": "finished",
      "step": 3,
      "checkpoint": f"checkpoints/{step}",
    }
    (workdir / "result.json").write_text(json.dumps(result))
    return sweeps.Outcome("complete")

  _work(opened, run)
  values = [each.value for each in study.statuses(opened.study)]
  assert values == [value] * 4


def test_a_trial_that_ended_before_the_storage_knew_is_not_rerun(tmp_path):
  dead, alive = _open(tmp_path), _open(tmp_path)
  trial = study.claim(dead.study)
  worker.begin(dead, trial)
  run_folder = folder.trial_folder(tmp_path, trial.number)
  sweep_cases.write_metrics(run_folder, **{"validation/top1": 0.8})
  worker.end(dead, trial, sweeps.Outcome("complete"))
  # The worker is killed here, before it reports to the storage.
  sweep_cases.stop_heartbeats(tmp_path)
  numbers = []

  def run(recipe, **arguments):
    numbers.append(arguments["workdir"].name)
    return sweep_cases.run(recipe, **arguments)

  _work(alive, run)
  assert sorted(numbers) == ["0001", "0002", "0003"]
  assert study.statuses(alive.study)[0].value == 0.8


def test_a_lost_trial_is_left_to_its_new_worker(tmp_path, caplog):
  dead, alive = _open(tmp_path), _open(tmp_path)
  taken = []

  def run(recipe, **arguments):
    if not taken:
      sweep_cases.stop_heartbeats(tmp_path)
      taken.append(study.claim(alive.study))
      worker.take(alive, taken[0], sweep_cases.run)
    return sweep_cases.run(recipe, **arguments)

  _work(dead, run)
  assert taken[0].number == 0
  assert "trial 0 was given to another worker" in caplog.text
  assert folder.read_trial(tmp_path, 0)["attempt"] == 2
  assert _states(alive) == ["complete"] * 4


def test_a_trial_fails_after_too_many_killed_workers(tmp_path):
  opened = _open(tmp_path, {sweep_cases.RATE: sweeps.grid(0.1)})
  for attempt in range(1, study.MOST_ATTEMPTS + 1):
    assert study.claim(opened.study).attempt == attempt
    sweep_cases.stop_heartbeats(tmp_path)
  _work(opened)
  assert _states(opened) == ["failed"]
  assert folder.read_trial(tmp_path, 0)["reason"] == "its workers died 5 times"
