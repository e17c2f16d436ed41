"""Successive halving: runs with poor early results are stopped.

A rung is a fraction of the training. At each rung a run continues if it is
among the best 1 / factor of the runs that have reached the rung, itself
included. No run waits for others (the asynchronous form: Li et al. 2020, "A
System for Massively Parallel Hyperparameter Tuning", algorithm 2). Progress is
measured in thousandths of a run, so that runs with different numbers of steps
are comparable.

The decisions are those of optuna's SuccessiveHalvingPruner (a test compares
them). That pruner cannot replace this file: it judges the latest value of one
trial of a storage. Here the trials of a stack are judged together, the best
value can count, and a resumed trial keeps its curve under another number.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from jaxvision.sweeps.experiment import objective
from jaxvision.sweeps.experiment.objective import Objective

COMPLETE = 1000
Curve = Mapping[int, float]  # progress in thousandths -> value


@dataclasses.dataclass(frozen=True)
class Halving:
  """The rungs, and the fraction of runs that continue after each rung.

  Attributes:
    factor: 1 / factor of the runs continue; at least 2.
    first: the first rung, in thousandths of the run. Each later rung is
      `factor` times the previous one.
  """

  factor: int
  first: int = 100


def halving(factor: int = 3, *, first: float = 0.1) -> Halving:
  """Keeps the best 1 / factor of the runs at each rung; prunes the others.

  Args:
    factor: 1 / factor of the runs continue; at least 2.
    first: the first rung, as a fraction of the run.

  Raises:
    ValueError: `factor` is below 2, or `first` is not in (0, 1).
  """
  if factor < 2 or not 0 < first < 1:
    raise ValueError(
      f"halving({factor}, first={first}): give a factor of at least 2 and a "
      "fraction `first` between 0 and 1, as in halving(3, first=0.1)"
    )
  return Halving(factor, max(1, round(first * COMPLETE)))


def progress(step: int, total: int) -> int:
  """The progress of a run, in thousandths."""
  return step * COMPLETE // total


def passes(rules: Halving, curve: Curve, now: int) -> bool:
  """Whether a rung is after the last point of the curve and up to `now`."""
  return bool(_passed(rules, max(curve, default=-1), now))


def survives(
  rules: Halving, aim: Objective, curve: Curve, others: Iterable[Curve]
) -> bool:
  """Whether a run continues after the last value of its curve.

  Args:
    rules: the rungs.
    aim: the objective.
    curve: the curve of this run so far.
    others: the curves of all other runs.
  """
  *before, now = sorted(curve)
  rungs = _passed(rules, before[-1] if before else -1, now)
  others = list(others)
  return now >= COMPLETE or all(
    _is_among_best(
      rules, aim, _value_at(aim, curve, rung), _values_at(aim, others, rung)
    )
    for rung in rungs
  )


def _passed(rules: Halving, last: int, now: int) -> list[int]:
  """The rungs after `last`, up to `now`."""
  rungs = [rules.first]
  while rungs[-1] * rules.factor < COMPLETE:
    rungs.append(rungs[-1] * rules.factor)
  return [rung for rung in rungs if last < rung <= now]


def _value_at(aim: Objective, curve: Curve, rung: int) -> float:
  """The value when a rung was reached, or the best value up to it."""
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
