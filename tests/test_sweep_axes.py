"""Axes cover their ranges evenly, and refuse what says nothing."""

import collections

import numpy as np
import pytest
from scipy import stats

from jaxvision import sweep
from jaxvision.sweep import axes

_PLACES = np.linspace(0, 1, 2000, endpoint=False)


def _at(axis):
  return [axes.at(axis, place) for place in _PLACES]


def test_uniform_is_uniform_and_log_uniform_in_the_logarithm():
  uniform = _at(sweep.uniform(-2, 4))
  assert stats.kstest(uniform, stats.uniform(-2, 6).cdf).statistic < 1e-3
  logs = _at(sweep.log_uniform(1e-4, 1e-1))
  law = stats.loguniform(1e-4, 1e-1)
  assert stats.kstest(logs, law.cdf).statistic < 1e-3


def test_integers_are_equally_likely_and_both_bounds_are_possible():
  counts = collections.Counter(_at(sweep.integer(3, 6)))
  assert set(counts) == {3, 4, 5, 6}
  assert set(counts.values()) == {500}
  logs = _at(sweep.integer(1, 64, log=True))
  assert min(logs) == 1 and max(logs) == 64
  assert {type(value) for value in logs} == {int}
  # The range in which numbers are rounded to 1 to 64 is 0.5 to 64.5.
  assert np.median(logs) == round((0.5 * 64.5) ** 0.5)


def test_a_choice_is_evenly_drawn_and_its_values_may_be_anything():
  axis = sweep.categorical("a", (1, 2), None)
  assert set(collections.Counter(_at(axis)).values()) == {667, 666}
  assert axis.labels == ("a", "(1, 2)", "None")
  assert axes.value_of(axis, "(1, 2)") == (1, 2)
  assert axes.value_of(axis, "None") is None
  with pytest.raises(ValueError, match="unknown choice 'b'"):
    axes.value_of(axis, "b")


def test_zipped_goes_by_rows():
  axis = sweep.zipped({"train.batch_size": (32, 64), "seed": (1, 2)})
  assert axis.labels == ("batch_size=32, seed=1", "batch_size=64, seed=2")
  assert axis.values[1] == {"train.batch_size": 64, "seed": 2}
  with pytest.raises(ValueError, match="columns of one length"):
    sweep.zipped({"a": (1,), "b": (1, 2)})


def test_a_template_is_filled_as_python_writes_it():
  axis = sweep.template(("flip", "mixup({a})"), a=sweep.uniform(0, 1))
  assert axes.fill(axis.text, {"a": 0.1}) == ("flip", "mixup(0.1)")
  with pytest.raises(ValueError, match="each gap needs an axis"):
    sweep.template("mixup({a})", b=sweep.uniform(0, 1))


@pytest.mark.parametrize(
  "make",
  [
    lambda: sweep.uniform(1, 1),
    lambda: sweep.log_uniform(0, 1),
    lambda: sweep.integer(4, 3),
    lambda: sweep.grid(),
    lambda: sweep.grid(1, 2, 1),
  ],
)
def test_what_is_no_axis_is_refused(make):
  with pytest.raises(ValueError, match=r"must be|at least one"):
    make()
