"""An overview of runs and sweeps, as rows that are sorted and filtered."""

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from jaxvision.report import run_row, sweep_row
from jaxvision.report.run_row import Row
from jaxvision.runs.state import STATES
from jaxvision.runs.watching import Found, Run, look

__all__ = ["SORTS", "STATES", "Row", "chosen", "look", "rows", "to_record"]

# The names of the numbers that may be logged as NaN.
_LOGGED = ("train_loss", "last", "best", "images_per_second")


def rows(found: Found, *, now: float, trials: bool = False) -> list[Row]:
  """The rows of runs and sweeps, in the order of the names.

  Args:
    found: from `watching.look`.
    now: in seconds of `time.time`.
    trials: whether the trials of a sweep follow its row.
  """
  listed = []
  for name, each in found.items():
    if isinstance(each, Run):
      listed.append(run_row.of_run(name, each, now=now))
      continue
    aim = each.definition.get("objective", {})
    own = [
      run_row.of_trial(f"{name}/trials/{folder}", run, aim, now=now)
      for folder, run in each.trials.items()
    ]
    listed.append(sweep_row.of(name, each, own, now=now))
    listed += own if trials else []
  return listed


def chosen(
  rows: Sequence[Row], *, sort: str, states: Collection[str] = ()
) -> list[Row]:
  """The rows with one of the states, sorted; unknown values are last.

  Args:
    rows: in the order of rows that are equal.
    sort: a key of `SORTS`.
    states: those of `STATES` that are kept; () keeps all.
  """
  kept = [row for row in rows if not states or row.state in states]
  known = [row for row in kept if not _is_unknown(SORTS[sort](row))]
  unknown = [row for row in kept if _is_unknown(SORTS[sort](row))]
  return sorted(known, key=SORTS[sort]) + unknown


def to_record(row: Row) -> dict[str, Any]:
  """A row for JSON; "not_finite" names the logged values that JSON lacks."""
  values = {name: getattr(row, name) for name in _LOGGED}
  wrong = [
    name
    for name, value in values.items()
    if value is not None and not math.isfinite(value)
  ]
  return {**dataclasses.asdict(row), "not_finite": wrong}


def _is_unknown(value: Any) -> bool:
  return value is None or value != value  # None or NaN


def _negative(name: str) -> Callable[[Row], float | None]:
  def key(row: Row) -> float | None:
    value = getattr(row, name)
    return None if value is None else -value

  return key


def _quality(row: Row) -> float | None:
  """Ascending from the best to the worst value."""
  if row.best is None:
    return None
  return row.best if row.goal == "minimize" else -row.best


# {name: key of a row}; an ascending order.
SORTS: dict[str, Callable[[Row], Any]] = {
  "state": lambda row: STATES.index(row.state),
  "name": lambda row: row.name,
  "percent": _negative("percent"),
  "left": lambda row: row.seconds_left,
  "loss": lambda row: row.train_loss,
  "best": _quality,
  "speed": _negative("images_per_second"),
  "age": lambda row: row.age_seconds,
}
