"""The objective of a sweep: the last or the best value of a metric."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from jaxvision import lookup

_AT = ("last", "best")


@dataclasses.dataclass(frozen=True)
class Objective:
  """A number of a run that is maximized or minimized.

  Attributes:
    metric: a name in metrics.jsonl, such as "validation/top1".
    goal: "maximize" or "minimize".
    at: "last" is the value at the end of the run, "best" its best value. A run
      with checkpoint.restore_best ends with its best checkpoint.
  """

  metric: str
  goal: str
  at: str


def maximize(metric: str, *, at: str = "last") -> Objective:
  """Larger is better: maximize("validation/top1")."""
  return _checked(Objective(metric, "maximize", at))


def minimize(metric: str, *, at: str = "last") -> Objective:
  """Smaller is better: minimize("validation/loss", at="best")."""
  return _checked(Objective(metric, "minimize", at))


def value(
  objective: Objective,
  lines: Iterable[Mapping[str, Any]],
  *,
  end: float = math.inf,
) -> float:
  """Returns the objective of a run from the lines of its metrics.jsonl.

  Args:
    objective: of the sweep.
    lines: of metrics.jsonl.
    end: the step of the checkpoint that the run ends with.

  Raises:
    ValueError: the run did not log the metric, or its value is not finite.
  """
  lines = list(lines)
  values = [
    line[objective.metric]
    for line in lines
    if objective.metric in line
    and (objective.at == "best" or line["step"] <= end)
  ]
  if not values:
    known = {name for line in lines for name in line} - {"step"}
    message = lookup.unknown("metric", objective.metric, known)
    raise ValueError(f"{message}; correct OBJECTIVE")
  found = best(objective, values) if objective.at == "best" else values[-1]
  if not math.isfinite(found):
    raise ValueError(f"{objective.metric} is {found}")
  return found


def best(objective: Objective, values: Iterable[float]) -> float:
  """The best of some values; NaN if all are NaN."""
  finite = [each for each in values if not math.isnan(each)]
  choose = max if objective.goal == "maximize" else min
  return choose(finite, default=math.nan)


def is_better(objective: Objective, a: float, b: float) -> bool:
  """Whether `a` is better than `b`. Any number is better than NaN."""
  if math.isnan(a) or math.isnan(b):
    return math.isnan(b) and not math.isnan(a)
  return a > b if objective.goal == "maximize" else a < b


def _checked(objective: Objective) -> Objective:
  if objective.at not in _AT:
    raise ValueError(lookup.unknown("value of `at`", objective.at, _AT))
  return objective
