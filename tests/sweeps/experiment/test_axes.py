"""Axes cover their ranges evenly; invalid axes are refused."""

import collections

import numpy as np
import pytest
from scipy import stats

from jaxvision import sweeps
from jaxvision.sweeps.experiment import axes

_PLACES = np.linspace(0, 1, 2000, endpoint=False)


def _at(axis):
  return [axes.at(axis, place) for place in _PLACES]


def test_uniform_is_uniform_and_log_uniform_in_the_logarithm():
  uniform = _at(sweeps.uniform(-2, 4))
  assert stats.kstest(uniform, stats.uniform(-2, 6).cdf).statistic < 1e-3
  logs = _at(sweeps.log_uniform(1e-4, 1e-1))
  law = stats.loguniform(1e-4, 1e-1)
  assert stats.kstest(logs, law.cdf).statistic < 1e-3


def test_integers_are_equally_likely_and_both_bounds_are_possible():
  counts = collections.Counter(_at(sweeps.integer(3, 6)))
  assert set(counts) == {3, 4, 5, 6}
  assert set(counts.values()) == {500}
  logs = _at(sweeps.integer(1, 64, log=True))
  assert min(logs) == 1 and max(logs) == 64
  assert {type(value) for value in logs} == {int}
  # The range in which numbers are rounded to 1 to 64 is 0.5 to 64.5.
  assert np.median(logs) == round((0.5 * 64.5) ** 0.5)


def test_a_choice_is_evenly_drawn_and_its_values_may_be_anything():
  axis = sweeps.categorical("a", (1, 2), None)
  assert set(collections.Counter(_at(axis)).values()) == {667, 666}
  assert axis.labels == ("a", "(1, 2)", "None")
  assert axes.value_of(axis, "(1, 2)") == (1, 2)
  assert axes.value_of(axis, "None") is None
  with pytest.raises(ValueError, match="unknown choice 'b'"):
    axes.value_of(axis, "b")


def test_zipped_goes_by_rows():
  axis = sweeps.zipped({"train.batch_size": (32, 64), "seed": (1, 2)})
  assert axis.labels == ("batch_size=32, seed=1", "batch_size=64, seed=2")
  assert axis.values[1] == {"train.batch_size": 64, "seed": 2}
  with pytest.raises(ValueError, match="columns of equal length"):
    sweeps.zipped({"a": (1,), "b": (1, 2)})


def test_a_template_is_filled_as_python_writes_it():
  axis = sweeps.template(("flip", "mixup({a})"), a=sweeps.uniform(0, 1))
  assert axes.fill(axis.text, {"a": 0.1}) == ("flip", "mixup(0.1)")
  with pytest.raises(ValueError, match="give each gap an axis"):
    sweeps.template("mixup({a})", b=sweeps.uniform(0, 1))


@pytest.mark.parametrize(
  "make",
  [
    lambda: sweeps.uniform(1, 1),
    lambda: sweeps.log_uniform(0, 1),
    lambda: sweeps.integer(4, 3),
    lambda: sweeps.grid(),
    lambda: sweeps.grid(1, 2, 1),
  ],
)
def test_invalid_axes_are_an_error(make):
  with pytest.raises(ValueError, match=r"must be|lower bound|at least one"):
    make()


def test_numbers_of_numpy_become_those_of_python():
  axis = sweeps.grid(np.float32(0.5), np.int64(3), {"b": np.float64(0.25)})
  assert axis.values == (0.5, 3, {"b": 0.25})
  assert [type(each) for each in axis.values] == [float, int, dict]
  assert type(axis.values[2]["b"]) is float
  assert axis.labels == (0.5, 3, "{'b': 0.25}")
  drawn = sweeps.uniform(np.float32(0.5), np.float64(2))
  assert (drawn.low, type(drawn.low), type(drawn.high)) == (0.5, float, float)
  whole = sweeps.integer(np.int8(2), 5)
  assert type(whole.low) is int
  rows = sweeps.zipped({"seed": np.arange(2), "ema.decay": [0.5, 0.75]})
  assert rows.values == (
    {"seed": 0, "ema.decay": 0.5},
    {"seed": 1, "ema.decay": 0.75},
  )
  assert sweeps.seeds(np.int64(2)).values == (0, 1)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: sweeps.grid({"b1": 0.9}), "'b1' is 0.9; to use dictionaries as"),
    (lambda: sweeps.categorical({3: {"seed": 1}}), "but 3 is {'seed': 1}"),
    (lambda: sweeps.uniform("a", 2), "lower bound of a range is 'a'; it must"),
    (lambda: sweeps.uniform(0, np.inf), "upper bound of a range is inf"),
    (lambda: sweeps.uniform(False, 2), "lower bound of a range is False"),
    (lambda: sweeps.integer(1, 2.5), "upper bound of a range is 2.5; it must"),
    (lambda: sweeps.seeds(0), "the number of seeds is 0; it must be a whole"),
    (lambda: sweeps.seeds(2.5), "the number of seeds is 2.5; it must be"),
  ],
)
def test_invalid_axes_are_explained(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_folds_set_both_keys():
  axis = sweeps.folds(3)
  assert axis.labels == (0, 1, 2) and axis.crossed
  assert axis.values == tuple(
    {"data.folds": 3, "data.fold": fold} for fold in range(3)
  )
  assert axes.is_folds(axis)
  assert not axes.is_folds(sweeps.seeds(3))
  assert not axes.is_folds(sweeps.grid({"a": {"data.fold": 1}}))


@pytest.mark.parametrize("count", [1, 0, 2.5])
def test_one_fold_is_refused(count):
  with pytest.raises(ValueError, match="the number of folds is"):
    sweeps.folds(count)
