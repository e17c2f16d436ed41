"""A worker of a sweep: claims trials and runs them until all have ended."""

import dataclasses
import logging
import math
import os
import pathlib
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision.processes import stop_signals
from jaxvision.runs import metrics_log, reading
from jaxvision.runs import workdir as workdirs
from jaxvision.sweeps.experiment import objective, pruning
from jaxvision.sweeps.experiment.experiment import Experiment
from jaxvision.sweeps.study import study
from jaxvision.sweeps.study.study import Study, Trial
from jaxvision.sweeps.workers import folder

Report = tuple[int, int, Mapping[str, float]]  # step, total steps, metrics
# (step, total steps, metrics) -> reason to stop the run; "" to continue.
Watch = Callable[[int, int, Mapping[str, float]], str]
# {i: report} -> {i: reason to stop}; i is the index among the claimed trials.
WatchAll = Callable[[Mapping[int, Report]], dict[int, str]]
_IDLE_SECONDS = 1.0
# Seconds between two values sent to the storage, over all trials of a worker.
_REPORT_SECONDS = 1.0
_LOGGER = logging.getLogger(__name__)
# Reason to stop a trial that another worker has taken over.
_LOST = "given to another worker"


class Lost(Exception):
  """Another worker has taken over the trial, as this one sent no heartbeat."""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The outcome of a trial's run.

  Attributes:
    state: "complete", "pruned" or "failed".
    reason: why the run did not complete.
  """

  state: str
  reason: str = ""


@dataclasses.dataclass(frozen=True)
class Sweep:
  """An open sweep.

  Attributes:
    workdir: the sweep's folder.
    experiment: the experiment.
    study: the trials in the storage.
  """

  workdir: pathlib.Path
  experiment: Experiment
  study: Study


Run = Callable[..., Outcome]
RunTogether = Callable[..., Sequence[Outcome | None]]


def work(
  sweep: Sweep,
  run: Run,
  *,
  interrupted: type[Exception],
  run_together: RunTogether | None = None,
  most: int = 1,
) -> None:
  """Runs trials until all have ended.

  Args:
    sweep: the open sweep.
    run: run(recipe, workdir=, overrides=, watch=) -> Outcome. It calls the
      `Watch` with all logged metrics, and does not catch `Lost`.
    interrupted: the exception that `run` raises when this worker must stop. The
      trials return to the queue, and another worker resumes them.
    run_together: run_together(recipe, workdirs=, overrides=, watch=) -> an
      `Outcome` per trial, or None for a trial that must run alone. It calls the
      `WatchAll`.
    most: maximum number of trials that train together.

  Raises:
    interrupted: as above.
  """
  with stop_signals.requested([signal.SIGTERM]) as should_stop:
    while not study.is_over(sweep.study):
      if should_stop():
        raise interrupted("SIGTERM arrived between two trials")
      trials = _claim(sweep, most if run_together else 1)
      if not trials:
        # Other workers still train. If one dies, this worker takes its trial.
        time.sleep(_IDLE_SECONDS)
        continue
      with study.heartbeats(sweep.study, trials):
        _take_all(sweep, trials, run, run_together)


def _take_all(
  sweep: Sweep,
  trials: Sequence[Trial],
  run: Run,
  run_together: RunTogether | None,
) -> None:
  """Runs trials, together if there are several; an error releases them."""
  try:
    if len(trials) > 1:
      trials = take_together(sweep, trials, run_together)
    for trial in trials:
      take(sweep, trial, run)
  except BaseException:
    for trial in trials:
      study.release(sweep.study, trial)
    raise


def take_together(
  sweep: Sweep, trials: Sequence[Trial], run_together: RunTogether
) -> list[Trial]:
  """Runs trials in one program; returns the trials that must run alone."""
  fresh = [trial for trial in trials if _is_fresh(sweep, trial)]
  records = [begin(sweep, trial) for trial in fresh]
  outcomes = run_together(
    sweep.experiment.recipe,
    workdirs=[folder.trial_folder(sweep.workdir, t.number) for t in fresh],
    overrides=[known["overrides"] for known in records],
    watch=make_watch_all(sweep, fresh),
  )
  left = [trial for trial in trials if trial not in fresh]
  for trial, outcome in zip(fresh, outcomes, strict=True):
    if outcome is None:
      left.append(trial)
      continue
    try:
      _finish(sweep, trial, end(sweep, trial, outcome))
    except Lost as lost:
      _LOGGER.warning("%s", lost)
  return left


def take(sweep: Sweep, trial: Trial, run: Run) -> None:
  """Runs a trial, or completes a trial that another worker left unfinished."""
  known = _known(sweep, trial)
  try:
    if known.get("state", "running") == "running":
      known = begin(sweep, trial)
      if trial.attempt > study.MOST_ATTEMPTS:
        deaths = trial.attempt - 1
        outcome = Outcome("failed", f"its workers died {deaths} times")
      else:
        outcome = run(
          sweep.experiment.recipe,
          workdir=folder.trial_folder(sweep.workdir, trial.number),
          overrides=known["overrides"],
          watch=make_watch(sweep, trial),
        )
      known = end(sweep, trial, outcome)
    _finish(sweep, trial, known)
  except Lost as lost:
    _LOGGER.warning("%s", lost)


def begin(sweep: Sweep, trial: Trial) -> dict[str, Any]:
  """Writes and returns trial.json of a trial before its run."""
  known = {
    "state": "running",
    "picks": trial.point.picks,
    "settings": trial.point.settings,
    "overrides": {**sweep.experiment.overrides, **trial.point.overrides},
    "attempt": trial.attempt,
    "worker": f"{socket.gethostname()} {os.getpid()}",
  }
  if trial.proposal:
    known["proposal"] = trial.proposal
  folder.write_trial(sweep.workdir, trial.number, known)
  return known


def end(sweep: Sweep, trial: Trial, outcome: Outcome) -> dict[str, Any]:
  """Writes and returns trial.json of a trial after its run.

  Raises:
    Lost: another worker has taken over the trial.
  """
  if not study.is_running(sweep.study, trial):
    raise Lost(f"trial {trial.number} was given to another worker")
  state, reason, value = outcome.state, outcome.reason, None
  run = folder.trial_folder(sweep.workdir, trial.number)
  try:
    lines = metrics_log.read_metrics(run)
    value = objective.value(
      sweep.experiment.objective, lines, end=_last_step(run)
    )
  except ValueError as error:
    if state == "complete":
      state, reason = "failed", str(error)
  known = _known(sweep, trial)
  known |= {"state": state, "reason": reason, "value": value}
  folder.write_trial(sweep.workdir, trial.number, known)
  return known


def _last_step(run: pathlib.Path) -> float:
  """The step of the best checkpoint if the run has restored it, else inf."""
  name = reading.evaluated_checkpoint(workdirs.read_result(run))
  return math.inf if name == "last" else int(name)


def make_watch(sweep: Sweep, trial: Trial) -> Watch:
  """Returns the `Watch` of a trial: it stores metrics and prunes.

  It raises `Lost` if another worker has taken over the trial.
  """
  watch_all = make_watch_all(sweep, [trial])

  def watch(step: int, total: int, values: Mapping[str, float]) -> str:
    reason = watch_all({0: (step, total, values)}).get(0, "")
    if reason == _LOST:
      raise Lost(f"trial {trial.number} was given to another worker")
    return reason

  return watch


def make_watch_all(sweep: Sweep, trials: Sequence[Trial]) -> WatchAll:
  """Returns the `WatchAll` of trials that train together.

  It first stores the metrics of all trials, then decides which are pruned.
  """
  aim, rules = sweep.experiment.objective, sweep.experiment.pruning
  curves: dict[int, dict[int, float]] = {i: {} for i in range(len(trials))}
  stored_at = dict.fromkeys(curves, -math.inf)

  def store(i: int, report: Report) -> bool:
    """Stores some of the values, as it is slow; False if the trial is lost."""
    step, total, values = report
    progress = pruning.progress(step, total)
    passes = bool(rules) and pruning.passes(rules, curves[i], progress)
    curves[i][progress] = values[aim.metric]
    interval = _REPORT_SECONDS * len(trials)
    if not passes and time.monotonic() - stored_at[i] < interval:
      return True
    stored_at[i] = time.monotonic()
    return study.report(sweep.study, trials[i], progress, curves[i][progress])

  def watch_all(reports: Mapping[int, Report]) -> dict[int, str]:
    reports = {i: each for i, each in reports.items() if aim.metric in each[2]}
    reasons = {i: _LOST for i, each in reports.items() if not store(i, each)}
    if not rules:
      return reasons
    outside = study.curves(sweep.study, but=trials)
    for i, (step, total, values) in reports.items():
      inside = [curve for j, curve in curves.items() if j != i]
      if not pruning.survives(rules, aim, curves[i], [*outside, *inside]):
        reasons.setdefault(
          i,
          f"{aim.metric} {values[aim.metric]:.4g} at step {step} of {total} is "
          f"not among the best 1/{rules.factor}",
        )
    return reasons

  return watch_all


def _claim(sweep: Sweep, most: int) -> list[Trial]:
  trials: list[Trial] = []
  while len(trials) < most and (trial := study.claim(sweep.study)):
    trials.append(trial)
  return trials


def _is_fresh(sweep: Sweep, trial: Trial) -> bool:
  """Whether a trial has no checkpoint yet, so it can train with others."""
  run = folder.trial_folder(sweep.workdir, trial.number)
  return (
    _known(sweep, trial).get("state", "running") == "running"
    and trial.attempt <= study.MOST_ATTEMPTS
    and not (run / "checkpoints").exists()
  )


def _known(sweep: Sweep, trial: Trial) -> dict[str, Any]:
  return folder.read_trial(sweep.workdir, trial.number)


def _finish(sweep: Sweep, trial: Trial, known: Mapping[str, Any]) -> None:
  complete = known["state"] == "complete"
  study.finish(
    sweep.study,
    trial,
    known["state"],
    value=known["value"] if complete else None,
    reason=known["reason"],
  )
