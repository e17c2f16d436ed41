"""Successive halving: runs that do badly early do not go on.

At a few shares of the training, the rungs, a run goes on if it is among the
best 1 / factor of those that have come as far, itself included. Nobody waits:
it is judged by those that are there (the asynchronous form of Li et al. 2020,
"A System for Massively Parallel Hyperparameter Tuning", algorithm 2). How far a
run is, is said in thousandths of it, so that runs of different numbers of steps
can be compared.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from jaxvision.sweeps.experiment import objective
from jaxvision.sweeps.experiment.objective import Objective

WHOLE = 1000
Curve = Mapping[int, float]  # progress in thousandths -> value


@dataclasses.dataclass(frozen=True)
class Halving:
  """When is judged, and how many go on.

  Attributes:
    factor: one in so many goes on, at least 2.
    first: the first rung, in thousandths of the run; each later one is `factor`
      times the one before.
  """

  factor: int
  first: int = 100


def halving(factor: int = 3, *, first: float = 0.1) -> Halving:
  """Prunes all but the best 1 / factor at `first`, a share of the run, and on.

  Raises:
    ValueError: a factor below 2, or a share that is not in (0, 1).
  """
  if factor < 2 or not 0 < first < 1:
    raise ValueError(
      f"halving takes a factor of at least 2 and a share `first` between 0 and "
      f"1, as in halving(3, first=0.1); not {factor} and {first}"
    )
  return Halving(factor, max(1, round(first * WHOLE)))


def progress(step: int, total: int) -> int:
  """How far a run is, in thousandths."""
  return step * WHOLE // total


def passes(rules: Halving, curve: Curve, now: int) -> bool:
  """Whether a run whose curve ends earlier passes a rung by coming to `now`."""
  return bool(_passed(rules, max(curve, default=-1), now))


def goes_on(
  rules: Halving, aim: Objective, curve: Curve, others: Iterable[Curve]
) -> bool:
  """Whether a run goes on after the last value of its curve.

  Args:
    rules: when is judged.
    aim: what is better.
    curve: of this run, so far.
    others: of all other runs.
  """
  *before, now = sorted(curve)
  rungs = _passed(rules, before[-1] if before else -1, now)
  others = list(others)
  return now >= WHOLE or all(
    _is_among_best(
      rules, aim, _value_at(aim, curve, rung), _values_at(aim, others, rung)
    )
    for rung in rungs
  )


def _passed(rules: Halving, last: int, now: int) -> list[int]:
  """The rungs after `last`, up to `now`."""
  rungs = [rules.first]
  while rungs[-1] * rules.factor < WHOLE:
    rungs.append(rungs[-1] * rules.factor)
  return [rung for rung in rungs if last < rung <= now]


def _value_at(aim: Objective, curve: Curve, rung: int) -> float:
  """The value when a rung was reached, or the best until then."""
  reached = min(place for place in curve if place >= rung)
  if aim.at == "last":
    return curve[reached]
  return objective.best(aim, (v for p, v in curve.items() if p <= reached))


def _values_at(
  aim: Objective, curves: Iterable[Curve], rung: int
) -> list[float]:
  return [
    _value_at(aim, curve, rung)
    for curve in curves
    if curve and max(curve) >= rung
  ]


def _is_among_best(
  rules: Halving, aim: Objective, value: float, rivals: list[float]
) -> bool:
  if math.isnan(value):
    return False
  better = sum(objective.is_better(aim, rival, value) for rival in rivals)
  return better < max(1, (len(rivals) + 1) // rules.factor)
