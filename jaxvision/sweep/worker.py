"""One worker of a sweep: claims trials and runs them until all have ended."""

import dataclasses
import logging
import os
import pathlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import tracking
from jaxvision.sweep import folder, objective, rungs, study
from jaxvision.sweep.experiment import Experiment
from jaxvision.sweep.study import Study, Trial

# (step, steps in all, values measured) -> why the run shall end; "" if not.
Watch = Callable[[int, int, Mapping[str, float]], str]
_IDLE_SECONDS = 1.0
_LOGGER = logging.getLogger(__name__)


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


def work(sweep: Sweep, run: Run, *, interrupted: type[Exception]) -> None:
  """Runs trials until all have ended.

  Args:
    sweep: what to work on.
    run: run(recipe, workdir=, overrides=, watch=) -> Outcome; it calls the
      `Watch` for all that is measured, and lets `Lost` through.
    interrupted: raised by `run` when this worker shall stop; the trial is given
      back, and another worker goes on with it.

  Raises:
    interrupted: as above.
  """
  while not study.is_over(sweep.study):
    trial = study.claim(sweep.study)
    if trial is None:
      # Others are at work; should one of them die, its trial is here to take.
      time.sleep(_IDLE_SECONDS)
      continue
    with study.beating(sweep.study, [trial]):
      try:
        take(sweep, trial, run)
      except Lost as lost:
        _LOGGER.warning("%s", lost)
      except BaseException:
        study.release(sweep.study, trial)
        raise


def take(sweep: Sweep, trial: Trial, run: Run) -> None:
  """Runs one trial, or ends what another worker has left of it.

  Raises:
    Lost: another worker has it now.
  """
  known = folder.read_trial(sweep.workdir, trial.number)
  if known.get("state", "running") == "running":
    known = begin(sweep, trial)
    if trial.attempt > study.MOST_ATTEMPTS:
      outcome = Outcome("failed", f"its workers died {trial.attempt - 1} times")
    else:
      outcome = run(
        sweep.experiment.recipe,
        workdir=folder.trial_folder(sweep.workdir, trial.number),
        overrides=known["overrides"],
        watch=make_watch(sweep, trial),
      )
    known = end(sweep, trial, outcome)
  study.finish(
    sweep.study,
    trial,
    known["state"],
    value=known["value"] if known["state"] == "complete" else None,
    reason=known["reason"],
  )


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
  lines = tracking.read_metrics(run)
  try:
    value = objective.value(sweep.experiment.objective, lines)
  except ValueError as error:
    if state == "complete":
      state, reason = "failed", str(error)
  known = folder.read_trial(sweep.workdir, trial.number)
  known |= {"state": state, "reason": reason, "value": value}
  folder.write_trial(sweep.workdir, trial.number, known)
  return known


def make_watch(sweep: Sweep, trial: Trial) -> Watch:
  """What follows a trial while it runs, and ends those that do badly."""
  aim, rules = sweep.experiment.objective, sweep.experiment.pruning
  curve: dict[int, float] = {}

  def watch(step: int, total: int, values: Mapping[str, float]) -> str:
    if aim.metric not in values:
      return ""
    progress = rungs.progress(step, total)
    curve[progress] = value = values[aim.metric]
    if not study.report(sweep.study, trial, progress, value):
      raise Lost(f"trial {trial.number} was given to another worker")
    others = study.curves(sweep.study, but=trial) if rules else []
    if not rules or rungs.goes_on(rules, aim, curve, others):
      return ""
    return (
      f"{aim.metric} {value:.4g} at step {step} of {total} is not among the "
      f"best 1/{rules.factor}"
    )

  return watch
