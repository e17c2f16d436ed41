"""A sweep, finished or not, read back from the folder that its workers wrote.

A setting is what a trial has but for its seed: trials of one setting differ by
chance alone.
"""

import collections
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.files import records
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

SEED = "seed"
STATES = ("running", "complete", "pruned", "failed")


@dataclasses.dataclass(frozen=True)
class Trial:
  """One trial of a sweep.

  Attributes:
    number: its number.
    state: "running", "complete", "pruned" or "failed".
    reason: why it did not complete; "" if it did.
    value: of the objective; None where there is none.
    settings: {key: value or label} of what the sweep varies.
    overrides: of the base config.
    run: its run folder; None if the run was not begun.
  """

  number: int
  state: str
  reason: str
  value: float | None
  settings: Mapping[str, Any]
  overrides: Mapping[str, Any]
  run: Run | None


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What the folder of a sweep holds.

  Attributes:
    workdir: the folder.
    asked: the content of sweep.json.
    trials: those that were begun, by number.
    problems: sentences that say which files are damaged.
  """

  workdir: pathlib.Path
  asked: Mapping[str, Any]
  trials: tuple[Trial, ...]
  problems: tuple[str, ...] = ()

  @property
  def metric(self) -> str:
    """The name of the objective's metric."""
    return self.asked["objective"]["metric"]

  @property
  def sign(self) -> int:
    """1 if more is better, -1 if less is."""
    return 1 if self.asked["objective"]["goal"] == "maximize" else -1


@dataclasses.dataclass(frozen=True)
class Setting:
  """The complete trials that differ in nothing but the seed.

  Attributes:
    settings: what they share.
    trials: by number; at least one.
  """

  settings: Mapping[str, Any]
  trials: tuple[Trial, ...]

  @property
  def values(self) -> np.ndarray:
    """(n,) of the objective."""
    return np.array([trial.value for trial in self.trials])


def is_sweep(workdir: str | pathlib.Path) -> bool:
  """Whether a folder is one of a sweep."""
  return (pathlib.Path(workdir) / "sweep.json").is_file()


def read_sweep(workdir: str | pathlib.Path) -> Sweep:
  """Reads a sweep, as far as it has come.

  A trial whose files are damaged is left out, or has no run; `Sweep.problems`
  says so.

  Raises:
    FileNotFoundError: the folder is no sweep.
    ValueError: its sweep.json is damaged.
  """
  workdir = pathlib.Path(workdir)
  asked = read_asked(workdir)
  found, problems = [], []
  for path in sorted((workdir / "trials").glob("*/trial.json")):
    try:
      trial, damages = _read_trial(path)
    except (ValueError, OSError) as error:
      problems.append(str(error))
    else:
      found.append(trial)
      problems += damages
  return Sweep(workdir, asked, tuple(found), tuple(problems))


def read_asked(workdir: str | pathlib.Path) -> dict[str, Any]:
  """The content of sweep.json: what a sweep asks, and how.

  Raises:
    FileNotFoundError: the folder is no sweep.
    ValueError: the file is damaged.
  """
  if not is_sweep(workdir):
    raise FileNotFoundError(
      f"{str(workdir)!r} is no sweep (no sweep.json in it); pass a folder that "
      "`jaxvision sweep --workdir` has written"
    )
  path = pathlib.Path(workdir) / "sweep.json"
  remedy = (
    "it says what the sweep asks and its name in the storage: restore it from "
    "a copy, or run the sweep in a new workdir; trials/ has the runs"
  )
  asked = records.read(path, records.SWEEP, remedy=remedy)
  if (goal := asked["objective"]["goal"]) not in ("maximize", "minimize"):
    raise ValueError(f"{path} is damaged: its goal is {goal!r}; {remedy}")
  return asked


def read_trial(path: pathlib.Path) -> dict[str, Any]:
  """The content of a trial.json.

  Raises:
    FileNotFoundError: there is none.
    ValueError: it is damaged.
    OSError: it cannot be read.
  """
  record = records.read(
    path,
    records.TRIAL,
    remedy="what it says of the trial is lost until the sweep runs it again",
  )
  if record["state"] not in STATES:
    raise ValueError(
      f"{path} is damaged: its state is {record['state']!r}, none of "
      f"{', '.join(STATES)}"
    )
  if record["state"] == "complete" and record.get("value") is None:
    raise ValueError(f"{path} is damaged: a complete trial has no value")
  return record


def varied(sweep: Sweep) -> list[str]:
  """The keys that differ between trials, in the order of the space."""
  values = collections.defaultdict(set)
  for trial in sweep.trials:
    for key, value in trial.settings.items():
      values[key].add(str(value))
  some = len(sweep.trials)
  return [
    key
    for key, found in values.items()
    if len(found) > 1 or sum(key in t.settings for t in sweep.trials) < some
  ]


def settings(sweep: Sweep) -> list[Setting]:
  """The settings of the complete trials, the best mean first."""
  groups = collections.defaultdict(list)
  for trial in sweep.trials:
    if trial.state == "complete":
      shared = {k: v for k, v in trial.overrides.items() if k != SEED}
      groups[json.dumps(shared, sort_keys=True)].append(trial)
  found = [
    Setting(
      {k: v for k, v in each[0].settings.items() if k != SEED}, tuple(each)
    )
    for each in groups.values()
  ]
  return sorted(found, key=lambda each: -sweep.sign * each.values.mean())


def ranked(sweep: Sweep) -> list[Trial]:
  """The complete trials, the best first."""
  complete = [trial for trial in sweep.trials if trial.state == "complete"]
  return sorted(complete, key=lambda trial: -sweep.sign * trial.value)


def columns(
  trials: Sequence[Trial], keys: Sequence[str]
) -> dict[str, list[Any]]:
  """{key: its value in each trial}, None where a trial has none."""
  return {key: [t.settings.get(key) for t in trials] for key in keys}


def is_numeric(values: Sequence[Any]) -> bool:
  """Whether all values are numbers, but for those that are missing."""
  there = [value for value in values if value is not None]
  return bool(there) and all(
    isinstance(value, int | float) and not isinstance(value, bool)
    for value in there
  )


def _read_trial(path: pathlib.Path) -> tuple[Trial, list[str]]:
  record, run, damages = read_trial(path), None, []
  if (path.parent / "config.json").exists():
    try:
      run = reading.read_run(path.parent)
    except (ValueError, OSError) as error:
      damages.append(str(error))
  trial = Trial(
    number=record["number"],
    state=record["state"],
    reason=record.get("reason") or "",
    value=record.get("value"),
    settings=record["settings"],
    overrides=record["overrides"],
    run=run,
  )
  return trial, damages
