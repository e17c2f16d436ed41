"""Repeated looks at runs and sweeps; a look reads only what has changed.

A file is read again if its time, size or inode has changed. Of a log only the
new lines are read. Nothing here raises an error of a folder: folders may be
incomplete, appear and disappear at any moment.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision.config import durations
from jaxvision.files import records
from jaxvision.runs import (
  discovery,
  log_summary,
  log_tail,
  reading,
  sweep_folder,
)
from jaxvision.runs.log_summary import Summary
from jaxvision.runs.log_tail import Tail
from jaxvision.runs.state import Stamp

Path = pathlib.Path
_LOG, _TRIAL = "metrics.jsonl", "trial.json"
_FILES = ("config.json", "result.json", _TRIAL, _LOG, "lock")


@dataclasses.dataclass(frozen=True)
class Run:
  """A run, as of the last look.

  Attributes:
    workdir: the folder.
    stamps: {file name: version} of the files that the look has seen.
    config: {dotted key: value}; {} if it is unknown.
    result: the content of result.json.
    trial: the content of trial.json; {} if the run is no trial of a sweep.
    tail: the position in the log.
    summary: of the log.
    problems: {file name: why it cannot be read}.
  """

  workdir: Path
  stamps: Mapping[str, Stamp] = dataclasses.field(default_factory=dict)
  config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  trial: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  tail: Tail = dataclasses.field(default_factory=Tail)
  summary: Summary = dataclasses.field(default_factory=Summary)
  problems: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sweep:
  """A sweep, as of the last look.

  Attributes:
    workdir: the folder.
    stamp: version of sweep.json; None before the first look.
    definition: the content of sweep.json; {} if it cannot be read.
    trials: {folder name: run} of the trials that have started, by number.
    problem: why sweep.json cannot be read; "" if it can.
  """

  workdir: Path
  stamp: Stamp | None = None
  definition: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  trials: Mapping[str, Run] = dataclasses.field(default_factory=dict)
  problem: str = ""


Found = Mapping[str, Run | Sweep]


def look(
  folders: Sequence[str | Path],
  before: Found | None = None,
  *,
  ended_trials: bool = True,
) -> dict[str, Run | Sweep]:
  """The runs and sweeps in folders, by the names of `discovery.find`.

  Args:
    folders: of runs, of sweeps, or folders that contain them.
    before: the result of the last look.
    ended_trials: whether the runs of trials that have ended are read. Without
      them a sweep of many trials is read faster.
  """
  before, found = before or {}, {}
  for name, workdir in discovery.find(folders).items():
    known = before.get(name)
    if sweep_folder.is_sweep(workdir):
      known = known if isinstance(known, Sweep) else Sweep(workdir)
      found[name] = _look_at_sweep(known, ended_trials)
    else:
      known = known if isinstance(known, Run) else Run(workdir)
      found[name] = _look_at_run(known)
  return found


def total_steps(run: Run) -> int | None:
  """The steps of the complete run; None if they are unknown.

  They are recorded, or else follow from the duration in the config: trials that
  train together have no result before their end.
  """
  if run.result.get("total_steps"):
    return run.result["total_steps"]
  batch_size = run.config.get("train.batch_size")
  rate = run.summary.epochs_per_step
  try:
    duration = str(run.config.get("train.duration"))
    if not rate and durations.parse(duration)[1] == "epochs":
      return None
    return durations.steps(
      duration,
      batch_size=batch_size,
      num_examples=round(batch_size / rate) if rate else 1,
      multiple_of=run.config.get("train.steps_per_dispatch") or 1,
    )
  except (TypeError, ValueError):
    return None


def _look_at_sweep(sweep: Sweep, ended_trials: bool) -> Sweep:
  stamp = _stamp(sweep.workdir / "sweep.json")
  definition, problem = sweep.definition, sweep.problem
  if stamp != sweep.stamp:
    definition, problem = _try(sweep_folder.read_definition, sweep.workdir)
  trials = {
    folder.name: _look_at_trial(
      sweep.trials.get(folder.name, Run(folder)), ended_trials
    )
    for folder in discovery.trials(sweep.workdir)
  }
  return Sweep(sweep.workdir, stamp, definition, trials, problem)


def _look_at_trial(run: Run, ended_trials: bool) -> Run:
  run = _look_at_run(run, names=(_TRIAL,))
  is_open = run.trial.get("state", "running") == "running"
  return _look_at_run(run) if is_open or ended_trials else run


def _look_at_run(run: Run, *, names: Sequence[str] = _FILES) -> Run:
  """The run after a look at some of its files."""
  others = {k: each for k, each in run.stamps.items() if k not in names}
  seen = {name: _stamp(run.workdir / name) for name in names}
  seen = {name: each for name, each in seen.items() if each}
  changed = [name for name in names if seen.get(name) != run.stamps.get(name)]
  if not changed:
    return run
  found, problems = {}, dict(run.problems)
  for name in {*changed} & {*_READERS}:
    field, read = _READERS[name]
    found[field], problems[name] = _try(read, run.workdir)
  if _LOG in changed:
    found["tail"], found["summary"], problems[_LOG] = _follow(run)
  return dataclasses.replace(
    run,
    stamps={**others, **seen},
    problems={name: text for name, text in problems.items() if text},
    **found,
  )


def _follow(run: Run) -> tuple[Tail, Summary, str]:
  """The position in the log and its summary, after the new lines."""
  try:
    rows, tail, is_replaced = log_tail.read(run.workdir / _LOG, run.tail)
  except FileNotFoundError:
    return Tail(), Summary(), ""
  except OSError as error:
    return run.tail, run.summary, str(error)
  summary = Summary() if is_replaced else run.summary
  return tail, log_summary.add(summary, rows), ""


def _stamp(path: Path) -> Stamp | None:
  """The version of a file; None if it does not exist or cannot be examined."""
  try:
    found = os.stat(path)
  except OSError:
    return None
  return Stamp(found.st_mtime, found.st_size, found.st_ino)


def _try(
  read: Callable[[Path], dict[str, Any]], workdir: Path
) -> tuple[dict[str, Any], str]:
  """The content of a file, or {} and the reason why it cannot be read."""
  try:
    return read(workdir), ""
  except FileNotFoundError:
    return {}, ""
  except (ValueError, OSError) as error:
    return {}, str(error)


def _read_config(workdir: Path) -> dict[str, Any]:
  return reading.flatten(reading.read_config(workdir)["config"])


def _read_result(workdir: Path) -> dict[str, Any]:
  remedy = "the train command of the run rewrites it"
  return records.read(workdir / "result.json", records.RESULT, remedy=remedy)


def _read_trial(workdir: Path) -> dict[str, Any]:
  return sweep_folder.read_trial(workdir / _TRIAL)


# The JSON files of a run: the field of `Run`, and the function of the folder.
_READERS = {
  "config.json": ("config", _read_config),
  "result.json": ("result", _read_result),
  _TRIAL: ("trial", _read_trial),
}
