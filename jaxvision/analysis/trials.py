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

from jaxvision.analysis import runs
from jaxvision.analysis.runs import Run

SEED = "seed"


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
  """

  workdir: pathlib.Path
  asked: Mapping[str, Any]
  trials: tuple[Trial, ...]

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

  Raises:
    FileNotFoundError: the folder is no sweep.
  """
  workdir = pathlib.Path(workdir)
  if not is_sweep(workdir):
    raise FileNotFoundError(
      f"{str(workdir)!r} is no sweep (no sweep.json in it); pass a folder that "
      "`jaxvision sweep --workdir` has written"
    )
  asked = json.loads((workdir / "sweep.json").read_text("utf-8"))
  paths = sorted(workdir.glob("trials/*/trial.json"))
  found = tuple(_read_trial(path) for path in paths)
  return Sweep(workdir, asked, found)


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


def _read_trial(path: pathlib.Path) -> Trial:
  record = json.loads(path.read_text("utf-8"))
  begun = (path.parent / "config.json").exists()
  return Trial(
    number=record["number"],
    state=record["state"],
    reason=record.get("reason", ""),
    value=record.get("value"),
    settings=record["settings"],
    overrides=record["overrides"],
    run=runs.read_run(path.parent) if begun else None,
  )
