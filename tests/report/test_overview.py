"""The rows of runs and sweeps agree with their folders."""

import dataclasses
import json
import math
import pathlib

import pytest
import sweep_cases
import tiny_runs
import watched_runs

from jaxvision import files, sweeps, training
from jaxvision.report import overview
from jaxvision.sweeps.study import study
from jaxvision.sweeps.workers import folder, worker
from jaxvision.training.loop import train_loop

_KEPT = pathlib.Path(__file__).parents[1] / "kept"


def test_a_training_is_seen_from_its_start_to_its_end(tmp_path):
  """The folder is that of a real training, which is stopped early."""
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  seen = []

  def watch(step, total, values):
    seen.append(watched_runs.rows(tmp_path / "run")["run"])
    return "enough" if step >= 4 else ""

  with pytest.raises(train_loop.Ended):
    training.train(
      str(tmp_path / "recipe.py"),
      workdir=tmp_path / "run",
      overrides={"log.every": "1 steps", "evaluate.every": "2 steps"},
      watch=watch,
    )
  assert [row.state for row in seen] == ["running", "running"]
  assert [(row.step, row.total_steps) for row in seen] == [(2, 6), (4, 6)]
  assert seen[0].percent == pytest.approx(100 / 3)
  assert seen[1].epoch == pytest.approx(4 * 16 / 40)
  assert seen[1].total_epochs == pytest.approx(6 * 16 / 40)
  assert seen[1].seconds_left is not None and seen[1].images_per_second > 0
  last = watched_runs.rows(tmp_path / "run")["run"]
  assert (last.state, last.reason) == ("stopped", "ended early: enough")
  lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  accuracies = [
    line["validation/top1"]
    for line in map(json.loads, lines)
    if "validation/top1" in line
  ]
  assert last.metric == "validation/top1"
  assert (last.last, last.best) == (accuracies[-1], max(accuracies))
  assert last.seconds_left is None


def test_a_training_that_diverges_has_failed(tmp_path):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  with pytest.raises(train_loop.Diverged):
    training.train(
      str(tmp_path / "recipe.py"),
      workdir=tmp_path / "run",
      overrides={"optimizer.learning_rate": 1e30, "log.every": "1 steps"},
    )
  row = watched_runs.rows(tmp_path / "run")["run"]
  assert row.state == "failed"
  assert row.reason.startswith("stopped at step ")


def test_runs_of_an_earlier_version():
  rows = watched_runs.rows(_KEPT)
  finished, interrupted = rows["finished"], rows["interrupted"]
  assert (finished.state, finished.percent) == ("finished", 100)
  assert finished.best == 0.25555555555555554  # as in its result.json
  assert interrupted.state == "stopped"
  assert interrupted.reason == "preempted: stopped and saved at step 100"
  assert (interrupted.metric, interrupted.best) == ("validation_ema/top1", 0.5)
  assert (rows["sweep"].step, rows["sweep"].total_steps) == (2, 6)
  assert rows["sweep"].best == 1.283164988623725


def test_the_time_left_follows_from_the_logged_times(tmp_path):
  with watched_runs.training(tmp_path / "run", total=100) as write:
    for step in (10, 20, 40):
      write(step, watched_runs.values(step, seconds=3.0))
    row = watched_runs.rows(tmp_path)["run"]
    assert row.seconds_left == pytest.approx(3.0 * 60, abs=2)
    later = watched_runs.rows(tmp_path, after=30)["run"]
    assert row.seconds_left - later.seconds_left == pytest.approx(30, abs=2)
    assert later.age_seconds - row.age_seconds == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
  ("chosen", "logged", "expected"),
  [
    ("validation_ema/top1", {"validation_ema/top1": 0.5}, ("top1", 0.7)),
    ("validation/loss", {"validation/loss": 0.5}, ("loss", 0.3)),
    # The default of the key, in a task without it.
    ("validation/top1", {"validation/r2": 0.5}, ("r2", 0.7)),
    ("validation/top1", {}, ("top1", None)),
  ],
)
def test_the_metric_is_the_one_that_selects_the_checkpoint(
  chosen, logged, expected, tmp_path
):
  with watched_runs.training(tmp_path / "run", best=chosen) as write:
    for step, change in ((1, 0.2), (2, -0.2), (3, 0.0)):
      changed = {name: value + change for name, value in logged.items()}
      write(step, {"train/loss": 1.0})
      write(step, {"validation/other": 9.0, **changed} if logged else {})
  row = watched_runs.rows(tmp_path)["run"]
  assert row.metric.rpartition("/")[2] == expected[0]
  assert row.best == (None if not logged else pytest.approx(expected[1]))
  assert row.last == (None if not logged else 0.5)


def test_nan_is_in_the_row_and_named_in_strict_json(tmp_path):
  with watched_runs.training(tmp_path / "run") as write:
    write(1, {"train/loss": math.nan})
    write(1, {"validation/top1": 0.5})
    write(2, {"validation/top1": math.nan})
  row = watched_runs.rows(tmp_path)["run"]
  assert math.isnan(row.train_loss) and math.isnan(row.last)
  assert row.best == 0.5
  text = files.to_json(overview.to_record(row))

  def refuse(constant):
    raise ValueError(constant)

  found = json.loads(text, parse_constant=refuse)
  assert (found["train_loss"], found["last"], found["best"]) == (
    None,
    None,
    0.5,
  )
  assert found["not_finite"] == ["train_loss", "last"]
  assert found.keys() - {"not_finite"} == {
    field.name for field in dataclasses.fields(overview.Row)
  }


def _train(opened, trial, *, top1):
  """A run of a trial that has written a line, in its own folder."""
  path = folder.trial_folder(opened.workdir, trial.number)
  with watched_runs.training(path, total=2) as write:
    write(1, {"validation/top1": top1, **watched_runs.values(1)})


@pytest.fixture
def opened(tmp_path):
  """A sweep of six trials: complete twice, failed, running, dead, waiting."""
  space = {sweep_cases.RATE: sweeps.grid(0.1, 0.3, 0.2, 0.4, 0.5, 0.6)}
  experiment = sweep_cases.experiment(space)
  opened = sweep_cases.open_sweep(tmp_path / "swept", experiment)
  for _ in range(2):
    trial = study.claim(opened.study)
    worker.begin(opened, trial)
    rate = trial.point.overrides[sweep_cases.RATE]
    _train(opened, trial, top1=rate)
    worker.take(opened, trial, lambda *_, **__: sweeps.Outcome("complete"))
  failed = sweeps.Outcome("failed", "out of memory")
  worker.take(opened, study.claim(opened.study), lambda *_, **__: failed)
  dead, live = study.claim(opened.study), study.claim(opened.study)
  worker.begin(opened, dead)
  _train(opened, dead, top1=0.9)
  worker.begin(opened, live)
  return opened


def test_a_sweep_is_one_row_with_its_counts_and_its_best(opened, tmp_path):
  path = folder.trial_folder(opened.workdir, 4)
  with watched_runs.training(path, total=2) as write:
    write(1, watched_runs.values(1))
    rows = watched_runs.rows(tmp_path)
  row = rows["swept"]
  assert [*rows] == ["swept"]
  assert (row.kind, row.state) == ("sweep", "running")
  assert row.trials == {
    "complete": 2,
    "failed": 1,
    "running": 1,
    "stopped": 1,
    "waiting": 1,
  }
  assert (row.step, row.total_steps, row.percent) == (3, 6, 50)
  assert (row.metric, row.best) == ("validation/top1", 0.3)
  assert "best is trial 0001" in row.reason
  assert row.images_per_second == 64


def test_the_trials_of_a_sweep_have_rows_on_demand(opened, tmp_path):
  rows = watched_runs.rows(tmp_path, trials=True)
  assert [*rows] == [
    "swept",
    *(f"swept/trials/{number:04d}" for number in range(5)),
  ]
  trials = [row for row in rows.values() if row.kind == "trial"]
  assert [row.state for row in trials] == [
    *("finished", "finished", "failed", "stopped", "running")
  ]
  assert trials[2].reason == "out of memory"
  assert trials[1].best == trials[1].last == 0.3


def test_a_sweep_ends_with_its_trials(opened, tmp_path):
  # The worker of trial 4 has not started its run: it may still compile.
  assert watched_runs.rows(tmp_path)["swept"].state == "running"
  assert watched_runs.rows(tmp_path, after=1e5)["swept"].state == "stalled"
  for number in range(3, 6):
    facts = folder.read_trial(opened.workdir, 0) | {"value": 0.1}
    folder.write_trial(opened.workdir, number, facts)
  row = watched_runs.rows(tmp_path, after=1e5)["swept"]
  assert (row.state, row.percent) == ("finished", 100)
  (opened.workdir / "sweep.json").write_text("{")
  row = watched_runs.rows(tmp_path)["swept"]
  assert row.state == "failed" and "sweep.json is damaged" in row.reason


def test_a_sweep_without_trials_waits_for_its_workers(tmp_path):
  space = {sweep_cases.RATE: sweeps.grid(0.1, 0.2)}
  sweep_cases.open_sweep(tmp_path / "swept", sweep_cases.experiment(space))
  row = watched_runs.rows(tmp_path)["swept"]
  assert (row.state, row.trials) == ("running", {"waiting": 2})
  assert watched_runs.rows(tmp_path, after=100)["swept"].state == "stopped"


def _rows(**columns):
  count = len(next(iter(columns.values())))
  base = {"kind": "run", "workdir": "w", "state": "running"}
  return [
    overview.Row(
      **{"name": "abcdef"[i], **base, **{k: v[i] for k, v in columns.items()}}
    )
    for i in range(count)
  ]


@pytest.mark.parametrize(
  ("key", "field", "values", "order"),
  [
    ("best", "best", [0.5, None, 0.9, math.nan], "cabd"),
    ("left", "seconds_left", [30, None, 10], "cab"),
    ("percent", "percent", [10, None, 90], "cab"),
    ("speed", "images_per_second", [10, 30, 20], "bca"),
    ("loss", "train_loss", [math.nan, 1.0, 0.5], "cba"),
    ("age", "age_seconds", [3, 1, 2], "bca"),
    ("name", "name", ["z", "y", "x"], "xyz"),
    ("state", "state", ["finished", "stalled", "running"], "cba"),
  ],
)
def test_rows_are_sorted_and_the_unknown_are_last(key, field, values, order):
  rows = overview.chosen(_rows(**{field: values}), sort=key)
  assert "".join(row.name for row in rows) == order


def test_a_smaller_loss_is_better():
  rows = _rows(best=[0.5, 0.1], goal=["minimize"] * 2)
  assert [row.name for row in overview.chosen(rows, sort="best")] == ["b", "a"]


def test_rows_are_filtered_by_their_states():
  rows = _rows(state=["finished", "failed", "running"])
  kept = overview.chosen(rows, sort="name", states=["failed", "running"])
  assert [row.name for row in kept] == ["b", "c"]
