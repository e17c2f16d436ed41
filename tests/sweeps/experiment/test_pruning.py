"""Halving keeps the best 1 / factor at each rung, and never at the end."""

import math

import numpy as np
import optuna
import pytest

from jaxvision import sweeps
from jaxvision.sweeps.experiment import pruning

_AIM = sweeps.maximize("top1")
_RULES = sweeps.halving(2, first=0.25)  # rungs at 250 and 500


def _survivors(values, *, rules=_RULES, aim=_AIM, progress=250):
  """The values of the runs that survive a rung that all runs have reached."""
  curves = [{progress: value} for value in values]
  return [
    value
    for i, value in enumerate(values)
    if pruning.survives(rules, aim, curves[i], curves[:i] + curves[i + 1 :])
  ]


def test_the_best_half_survives():
  assert _survivors([3, 8, 1, 5, 7, 2]) == [8, 5, 7]
  assert _survivors([3, 8, 1], aim=sweeps.minimize("loss")) == [1]
  nine = sweeps.halving(3, first=0.25)
  assert _survivors(range(9), rules=nine) == [6, 7, 8]


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_decisions_are_those_of_optuna(goal, factor):
  """Runs reach their rungs in any order, and their values often tie."""
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  rng = np.random.default_rng(factor)
  rules = sweeps.halving(factor, first=0.1)
  rungs = [100, 100 * factor, 100 * factor**2]
  pruner = optuna.pruners.SuccessiveHalvingPruner(100, factor, 0)
  study = optuna.create_study(direction=goal, pruner=pruner)
  aim = getattr(sweeps, goal)("metric")
  trials = [study.ask() for _ in range(40)]
  curves, running = [{} for _ in trials], set(range(40))
  decisions = []
  while running:
    number = rng.choice(sorted(running))
    curve, others = curves[number], curves[:number] + curves[number + 1 :]
    progress, value = rungs[len(curve)], float(rng.integers(8))
    curve[progress] = value
    trials[number].report(value, progress)
    decisions.append(pruning.survives(rules, aim, curve, others))
    assert decisions[-1] != trials[number].should_prune()
    if not decisions[-1] or len(curve) == len(rungs):
      running.remove(number)
  assert 40 < len(decisions) < 120
  assert {True, False} == set(decisions)


def test_the_first_run_survives_and_nan_never_does():
  assert pruning.survives(_RULES, _AIM, {250: 0.0}, [])
  assert not pruning.survives(_RULES, _AIM, {250: math.nan}, [])


def test_a_run_is_judged_once_for_each_rung_it_passes():
  better = [{250: 9.0, 600: 9.0, 1000: 9.0}] * 3
  judged = {
    now: pruning.survives(_RULES, _AIM, curve, better)
    for now, curve in {
      200: {200: 1.0},
      300: {200: 1.0, 300: 1.0},
      400: {300: 1.0, 400: 1.0},
      510: {400: 1.0, 510: 1.0},
      900: {510: 1.0, 900: 1.0},
      1000: {200: 1.0, 1000: 1.0},
    }.items()
  }
  assert judged == {
    200: True,
    300: False,
    400: True,
    510: False,
    900: True,
    1000: True,
  }


def test_other_runs_are_compared_at_the_rung():
  late = [{100: 0.0, 300: 1.0, 700: 9.0}] * 2
  assert pruning.survives(_RULES, _AIM, {260: 5.0}, late)
  short = [{100: 9.0}] * 4
  assert pruning.survives(_RULES, _AIM, {260: 0.0}, short)


def test_with_the_best_over_time_an_earlier_value_counts():
  rivals = [{250: 5.0}] * 2
  curve = {200: 9.0, 250: 1.0}
  at_best = sweeps.maximize("top1", at="best")
  assert pruning.survives(_RULES, at_best, curve, rivals)
  assert not pruning.survives(_RULES, _AIM, curve, rivals)


def test_progress_is_in_thousandths():
  assert [pruning.progress(s, 60) for s in (0, 6, 59, 60)] == [
    0,
    100,
    983,
    1000,
  ]


@pytest.mark.parametrize("wrong", [(1, 0.1), (2, 0.0), (2, 1.0)])
def test_wrong_factors_and_fractions_are_refused(wrong):
  with pytest.raises(ValueError, match="a factor of at least 2"):
    sweeps.halving(wrong[0], first=wrong[1])
