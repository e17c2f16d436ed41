"""A row of the overview of runs, and the rows of runs and trials.

A number that is unknown is None. A number that is not finite was logged so.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxvision.report import measures
from jaxvision.runs import log_summary, state, watching
from jaxvision.runs.log_summary import Curve, Summary
from jaxvision.runs.watching import Run

# States of trials in trial.json, as states of runs.
ENDED = {
  "complete": "finished",
  "pruned": "stopped",
  "failed": "failed",
}


@dataclasses.dataclass(frozen=True)
class Row:
  """A run, a trial or a sweep.

  Attributes:
    name: path below the given folder.
    kind: "run", "trial" or "sweep".
    workdir: the folder.
    state: one of `state.STATES`.
    reason: why the run has this state, and unreadable files; "" if clear.
    step, total_steps: of a sweep, the trials that have ended, and all trials.
    percent: of the steps, in [0, 100].
    epoch, total_epochs: at these steps.
    seconds_left: from the logged times of a run that runs.
    train_loss: in the last line of the training.
    metric: the name of the metric that selects the best checkpoint, or the
      objective of the sweep; "" if it is unknown.
    last, best: values of this metric.
    goal: "maximize" or "minimize" the metric.
    images_per_second: in the last line; of a sweep, of all trials that run.
    age_seconds: since the last line of the log; of a sweep, since the last
      line or end of a trial.
    trials: {state in trial.json, "stalled" or "waiting": number of trials};
      empty if the row is not a sweep.
  """

  name: str
  kind: str
  workdir: str
  state: str
  reason: str = ""
  step: int | None = None
  total_steps: int | None = None
  percent: float | None = None
  epoch: float | None = None
  total_epochs: float | None = None
  seconds_left: float | None = None
  train_loss: float | None = None
  metric: str = ""
  last: float | None = None
  best: float | None = None
  goal: str = "maximize"
  images_per_second: float | None = None
  age_seconds: float | None = None
  trials: Mapping[str, int] = dataclasses.field(default_factory=dict)


def of_run(name: str, run: Run, *, now: float) -> Row:
  """The row of a run; `now` is in seconds of `time.time`."""
  metric = _metric(run)
  smaller = measures.is_smaller_better(metric.rpartition("/")[2])
  return _row(name, run, now, metric, "minimize" if smaller else "maximize")


def of_trial(name: str, run: Run, aim: Mapping[str, Any], *, now: float) -> Row:
  """The row of a trial, with the objective of its sweep.

  Args:
    name: of the row.
    run: of the trial.
    aim: the objective in sweep.json; {} if it is unknown.
    now: in seconds of `time.time`.
  """
  metric, goal = aim.get("metric", ""), aim.get("goal", "maximize")
  row = dataclasses.replace(_row(name, run, now, metric, goal), kind="trial")
  ended = ENDED.get(run.trial.get("state", ""))
  if not ended and row.state == "failed":
    # Another worker resumes the trial.
    return dataclasses.replace(row, state="stopped")
  if not ended:
    return row
  return dataclasses.replace(
    row,
    state=ended,
    reason=run.trial.get("reason") or "",
    seconds_left=None,
    best=run.trial.get("value") if row.best is None else row.best,
  )


def _row(name: str, run: Run, now: float, metric: str, goal: str) -> Row:
  summary, step = run.summary, _step(run)
  reached, reason = state.of(
    run.result.get("status") or "",
    stamps=run.stamps,
    summary=summary,
    now=now,
  )
  if run.problems:
    reason = "; ".join(filter(None, [reason, *run.problems.values()]))
  if "config.json" in run.problems:
    reached = "failed"
  total, age = watching.total_steps(run), state.age(run.stamps, now)
  curve = summary.curves.get(metric)
  return Row(
    name=name,
    kind="run",
    workdir=str(run.workdir),
    state=reached,
    reason=reason,
    step=step,
    total_steps=total,
    percent=min(100 * step / total, 100.0) if total else None,
    epoch=_times(summary.epochs_per_step, step),
    total_epochs=_times(summary.epochs_per_step, total),
    seconds_left=_seconds_left(summary, total, age or 0.0)
    if reached == "running"
    else None,
    train_loss=_last(summary, "train/loss"),
    metric=metric,
    last=curve.last if curve else None,
    best=_best(curve, goal) if curve else None,
    goal=goal,
    images_per_second=_last(summary, "images_per_second"),
    age_seconds=age,
  )


def _metric(run: Run) -> str:
  """The metric that selects the best checkpoint of a run."""
  chosen = str(run.config.get("checkpoint.best") or "")
  recorded = str((run.result.get("best") or {}).get("metric") or "")
  for name in (chosen, recorded):
    if name in run.summary.curves:
      return name
  prefix = "validation/"
  logged = [
    name.removeprefix(prefix)
    for name in run.summary.curves
    if name.startswith(prefix)
  ]
  return prefix + measures.main(logged) if logged else chosen


def _step(run: Run) -> int:
  return max(run.summary.step, run.result.get("step") or 0)


def _seconds_left(
  summary: Summary, total: int | None, age: float
) -> float | None:
  pace = log_summary.seconds_per_step(summary)
  if pace is None or total is None:
    return None
  return max(pace * (total - summary.step) - age, 0.0)


def _times(rate: float | None, steps: int | None) -> float | None:
  return None if rate is None or steps is None else rate * steps


def _last(summary: Summary, name: str) -> float | None:
  curve = summary.curves.get(name)
  return curve.last if curve else None


def _best(curve: Curve, goal: str) -> float | None:
  return curve.lowest if goal == "minimize" else curve.highest
