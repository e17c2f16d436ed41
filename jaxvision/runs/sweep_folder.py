"""Reading of a sweep folder, of a finished or an unfinished sweep.

A setting is the config of a trial without its seed and its fold: the trials of
a setting repeat it with other seeds, and with other parts of the data.
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
# The keys of cross-validation, and the name of the axis that sets both.
FOLDS, FOLD = "data.folds", "data.fold"
FOLD_AXIS = "fold"
STATES = ("running", "complete", "pruned", "failed")


@dataclasses.dataclass(frozen=True)
class Trial:
  """One trial of a sweep.

  Attributes:
    number: number of the trial.
    state: "running", "complete", "pruned" or "failed".
    reason: why the trial did not complete; "" if it did.
    value: value of the objective; None if there is none.
    settings: {key: value or label} of the axes of the sweep.
    overrides: {config key: value} on top of the base config.
    run: the run folder; None if the run has not started.
    picks: {name of the axis: number or label}; {} in old sweeps.
  """

  number: int
  state: str
  reason: str
  value: float | None
  settings: Mapping[str, Any]
  overrides: Mapping[str, Any]
  run: Run | None
  picks: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sweep:
  """The content of a sweep folder.

  Attributes:
    workdir: the folder.
    definition: the content of sweep.json.
    trials: the trials that have started, by number.
    problems: sentences that name the damaged files.
  """

  workdir: pathlib.Path
  definition: Mapping[str, Any]
  trials: tuple[Trial, ...]
  problems: tuple[str, ...] = ()

  @property
  def metric(self) -> str:
    """The name of the objective's metric."""
    return self.definition["objective"]["metric"]

  @property
  def sign(self) -> int:
    """1 if larger is better, -1 if smaller is better."""
    return 1 if self.definition["objective"]["goal"] == "maximize" else -1


@dataclasses.dataclass(frozen=True)
class Setting:
  """Complete trials that differ in the seed and the fold only.

  Attributes:
    settings: their common settings.
    trials: the trials by number; at least one.
    folds: the folds over which the sweep repeats it, also those without a
      complete trial; () without cross-validation.
  """

  settings: Mapping[str, Any]
  trials: tuple[Trial, ...]
  folds: tuple[int, ...] = ()

  @property
  def values(self) -> np.ndarray:
    """(n,) values of the objective."""
    return np.array([trial.value for trial in self.trials])

  @property
  def by_fold(self) -> dict[int, float]:
    """The mean value over the seeds of each complete fold, by its number."""
    values = collections.defaultdict(list)
    for trial in self.trials:
      if self.folds:
        values[trial.overrides[FOLD]].append(trial.value)
    return {fold: float(np.mean(values[fold])) for fold in sorted(values)}

  @property
  def repetitions(self) -> np.ndarray:
    """(n,) values of the folds, or of the seeds without cross-validation."""
    return np.array([*self.by_fold.values()]) if self.folds else self.values

  @property
  def mean(self) -> float:
    """The mean of the repetitions."""
    return float(self.repetitions.mean())

  @property
  def is_whole(self) -> bool:
    """Whether each fold has a complete trial."""
    return set(self.by_fold) == set(self.folds)


def is_sweep(workdir: str | pathlib.Path) -> bool:
  """Whether a folder is a sweep."""
  return (pathlib.Path(workdir) / "sweep.json").is_file()


def read_sweep(workdir: str | pathlib.Path, *, with_runs: bool = True) -> Sweep:
  """Reads the folder of a sweep that may be unfinished.

  A trial with damaged files is skipped, or has no run. `Sweep.problems` lists
  these files.

  Args:
    workdir: the folder.
    with_runs: whether the run folders of the trials are read; without them a
      sweep of many trials is read quickly.

  Raises:
    FileNotFoundError: the folder is not a sweep.
    ValueError: sweep.json is damaged.
  """
  workdir = pathlib.Path(workdir)
  definition = read_definition(workdir)
  found, problems = [], []
  for path in sorted((workdir / "trials").glob("*/trial.json")):
    try:
      trial, damages = _read_trial(path, with_run=with_runs)
    except (ValueError, OSError) as error:
      problems.append(str(error))
    else:
      found.append(trial)
      problems += damages
  return Sweep(workdir, definition, tuple(found), tuple(problems))


def read_definition(workdir: str | pathlib.Path) -> dict[str, Any]:
  """Reads sweep.json, the definition of a sweep.

  Raises:
    FileNotFoundError: the folder is not a sweep.
    ValueError: the file is damaged.
  """
  if not is_sweep(workdir):
    raise FileNotFoundError(
      f"{str(workdir)!r} is not a sweep (it has no sweep.json); pass a folder "
      "that `jaxvision sweep --workdir` wrote"
    )
  path = pathlib.Path(workdir) / "sweep.json"
  remedy = (
    "it defines the sweep and has its name in the storage: restore it "
    "from a copy, or run the sweep in a new workdir; trials/ has the runs"
  )
  return read_with_goal(path, records.SWEEP, remedy=remedy)


def read_with_goal(
  path: pathlib.Path, schema: Mapping[str, Any], *, remedy: str
) -> dict[str, Any]:
  """Reads a definition with an objective.

  Args:
    path: the JSON file.
    schema, remedy: as for `records.read`.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: the file is damaged, or its goal is unknown.
  """
  definition = records.read(path, schema, remedy=remedy)
  if (goal := definition["objective"]["goal"]) not in ("maximize", "minimize"):
    raise ValueError(f"{path} is damaged: its goal is {goal!r}; {remedy}")
  return definition


def read_trial(path: pathlib.Path) -> dict[str, Any]:
  """Reads a trial.json.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: the file is damaged.
    OSError: the file cannot be read.
  """
  record = records.read(
    path,
    records.TRIAL,
    remedy="its content is lost until the sweep runs the trial again",
  )
  if record["state"] not in STATES:
    raise ValueError(
      f"{path} is damaged: its state is {record['state']!r}; expected one of "
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
  """The settings of the complete trials, best mean first.

  A setting without a complete trial of some fold comes after all others: its
  mean is one over other data.
  """
  groups = collections.defaultdict(list)
  for trial in sweep.trials:
    if trial.state == "complete":
      shared = without_repetitions(trial.overrides)
      groups[json.dumps(shared, sort_keys=True)].append(trial)
  found = [
    Setting(shown_settings(each[0]), tuple(each), _folds(sweep, each[0]))
    for each in groups.values()
  ]
  return sorted(
    found, key=lambda each: (not each.is_whole, -sweep.sign * each.mean)
  )


def without_repetitions(overrides: Mapping[str, Any]) -> dict[str, Any]:
  """The config values of a trial that are those of its setting."""
  return {k: v for k, v in overrides.items() if k not in (SEED, FOLD)}


def shown_settings(trial: Trial) -> dict[str, Any]:
  """{key: value or label} of a trial's setting."""
  folded = (FOLD, FOLD_AXIS) if FOLD in trial.overrides else ()
  return {k: v for k, v in trial.settings.items() if k not in (SEED, *folded)}


def _folds(sweep: Sweep, trial: Trial) -> tuple[int, ...]:
  """The folds over which the sweep repeats the setting of a trial.

  One fold that all trials have is a part of the settings.
  """
  if FOLD not in trial.overrides:
    return ()
  count = trial.overrides.get(FOLDS)
  if FOLD_AXIS in trial.settings:
    return tuple(range(count))
  tried = {
    each.overrides[FOLD]
    for each in sweep.trials
    if FOLD in each.overrides and each.overrides.get(FOLDS) == count
  }
  return tuple(sorted(tried)) if len(tried) > 1 else ()


def ranked(sweep: Sweep) -> list[Trial]:
  """The complete trials, best first."""
  complete = [trial for trial in sweep.trials if trial.state == "complete"]
  return sorted(complete, key=lambda trial: -sweep.sign * trial.value)


def columns(
  trials: Sequence[Trial], keys: Sequence[str]
) -> dict[str, list[Any]]:
  """{key: its value in each trial}; None for a trial without the key."""
  return {key: [t.settings.get(key) for t in trials] for key in keys}


def is_numeric(values: Sequence[Any]) -> bool:
  """Whether all values that are not None are numbers."""
  there = [value for value in values if value is not None]
  return bool(there) and all(
    isinstance(value, int | float) and not isinstance(value, bool)
    for value in there
  )


def _read_trial(
  path: pathlib.Path, *, with_run: bool
) -> tuple[Trial, list[str]]:
  record, run, damages = read_trial(path), None, []
  if with_run and (path.parent / "config.json").exists():
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
    picks=record.get("picks") or {},
  )
  return trial, damages
