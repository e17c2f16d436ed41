"""One worker of a sweep: claims trials and runs them until all have ended."""

import dataclasses
import logging
import math
import os
import pathlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision.runs import metrics_log
from jaxvision.sweeps.experiment import objective, pruning
from jaxvision.sweeps.experiment.experiment import Experiment
from jaxvision.sweeps.study import study
from jaxvision.sweeps.study.study import Study, Trial
from jaxvision.sweeps.workers import folder

Told = tuple[int, int, Mapping[str, float]]  # step, steps in all, measured
# -> why the run shall end; "" if it shall not.
Watch = Callable[[int, int, Mapping[str, float]], str]
# {trial: told} -> {trial: why it shall end}, by the place among those claimed.
WatchAll = Callable[[Mapping[int, Told]], dict[int, str]]
_IDLE_SECONDS = 1.0
# Seconds between two values that the storage is told, all trials together.
_TELLS_EVERY = 1.0
_LOGGER = logging.getLogger(__name__)


# The reason of a trial that has another worker.
_LOST = "given to another worker"


class Lost(Exception):
  """The trial has another worker now: this one came back from the dead."""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How the run of a trial went.

  Attributes:
    state: "complete", "pruned" or "failed".
    reason: why it did not complete.
  """

  state: str
  reason: str = ""


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What a worker needs to know.

  Attributes:
    workdir: of the sweep.
    experiment: what is asked.
    study: its trials.
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
    sweep: what to work on.
    run: run(recipe, workdir=, overrides=, watch=) -> Outcome; it calls the
      `Watch` for all that is measured, and lets `Lost` through.
    interrupted: raised by `run` when this worker shall stop; its trials are
      given back, and another worker goes on with them.
    run_together: run_together(recipe, workdirs=, overrides=, watch=) -> an
      outcome for each, or None for those that must be run alone; it calls the
      `WatchAll`.
    most: trials at a time.

  Raises:
    interrupted: as above.
  """
  while not study.is_over(sweep.study):
    trials = _claim(sweep, most if run_together else 1)
    if not trials:
      # Others are at work; should one of them die, its trial is here to take.
      time.sleep(_IDLE_SECONDS)
      continue
    with study.beating(sweep.study, trials):
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
  """Runs trials at once; returns those that are still to be run, alone."""
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
  """Runs one trial, or ends what another worker has left of it."""
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
  """Writes, and returns, what is known of a trial before it runs."""
  known = {
    "state": "running",
    "picks": trial.point.picks,
    "settings": trial.point.settings,
    "overrides": {**sweep.experiment.overrides, **trial.point.overrides},
    "attempt": trial.attempt,
    "worker": f"{socket.gethostname()} {os.getpid()}",
  }
  folder.write_trial(sweep.workdir, trial.number, known)
  return known


def end(sweep: Sweep, trial: Trial, outcome: Outcome) -> dict[str, Any]:
  """Writes, and returns, what has become of a trial.

  Raises:
    Lost: another worker has it now.
  """
  if not study.is_ours(sweep.study, trial):
    raise Lost(f"trial {trial.number} was given to another worker")
  state, reason, value = outcome.state, outcome.reason, None
  run = folder.trial_folder(sweep.workdir, trial.number)
  try:
    lines = metrics_log.read_metrics(run)
    value = objective.value(sweep.experiment.objective, lines)
  except ValueError as error:
    if state == "complete":
      state, reason = "failed", str(error)
  known = _known(sweep, trial)
  known |= {"state": state, "reason": reason, "value": value}
  folder.write_trial(sweep.workdir, trial.number, known)
  return known


def make_watch(sweep: Sweep, trial: Trial) -> Watch:
  """What follows a trial while it runs, and ends it if it does badly.

  It raises `Lost` where another worker has the trial.
  """
  watch_all = make_watch_all(sweep, [trial])

  def watch(step: int, total: int, values: Mapping[str, float]) -> str:
    reason = watch_all({0: (step, total, values)}).get(0, "")
    if reason == _LOST:
      raise Lost(f"trial {trial.number} was given to another worker")
    return reason

  return watch


def make_watch_all(sweep: Sweep, trials: Sequence[Trial]) -> WatchAll:
  """What follows trials that run together: all are told, then all judged."""
  aim, rules = sweep.experiment.objective, sweep.experiment.pruning
  curves: dict[int, dict[int, float]] = {i: {} for i in range(len(trials))}
  told_at = dict.fromkeys(curves, -math.inf)

  def tell(i: int, told: Told) -> bool:
    """Whether the trial is ours; few values are said, for that takes time."""
    step, total, values = told
    progress = pruning.progress(step, total)
    passes = bool(rules) and pruning.passes(rules, curves[i], progress)
    curves[i][progress] = values[aim.metric]
    waits = _TELLS_EVERY * len(trials)
    if not passes and time.monotonic() - told_at[i] < waits:
      return True
    told_at[i] = time.monotonic()
    return study.report(sweep.study, trials[i], progress, curves[i][progress])

  def watch_all(told: Mapping[int, Told]) -> dict[int, str]:
    told = {i: each for i, each in told.items() if aim.metric in each[2]}
    reasons = {i: _LOST for i, each in told.items() if not tell(i, each)}
    if not rules:
      return reasons
    outside = study.curves(sweep.study, but=trials)
    for i, (step, total, values) in told.items():
      inside = [curve for j, curve in curves.items() if j != i]
      if not pruning.goes_on(rules, aim, curves[i], [*outside, *inside]):
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
  """Whether a trial is at its beginning, wherever it has been."""
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
