"""Importance finds the settings that affect the values, and no others."""

import numpy as np

from jaxvision.report import importance

_RNG = np.random.default_rng(0)
_RATES = _RNG.uniform(-3, 3, 80).tolist()
_NAMES = _RNG.choice(["sgd", "adam", "lion"], 80).tolist()
_NOISE = _RNG.uniform(0, 1, 80).tolist()


def test_an_optimum_in_the_middle_is_detected():
  # No correlation: the effect of the rate is symmetric.
  values = -np.square(_RATES)
  columns = {"noise": _NOISE, "rate": _RATES, "name": _NAMES}
  found = importance.importances(columns, values)
  assert next(iter(found)) == "rate"
  assert found["rate"] > 0.9
  assert abs(sum(found.values()) - 1) < 1e-9


def test_labels_matter_where_the_values_follow_from_them():
  values = np.array([{"sgd": 1.0, "adam": 3.0, "lion": 2.0}[n] for n in _NAMES])
  found = importance.importances({"rate": _RATES, "name": _NAMES}, values)
  assert found["name"] > 0.95


def test_a_missing_value_is_a_separate_value():
  column = [None if name == "sgd" else 0.5 for name in _NAMES]
  values = np.array([float(name == "sgd") for name in _NAMES])
  found = importance.importances({"beta": column, "noise": _NOISE}, values)
  assert found["beta"] > 0.95


def test_equal_or_too_few_values_have_no_importance():
  assert importance.importances({"a": [1, 2, 3]}, np.arange(3.0)) == {"a": 0}
  equal = importance.importances({"a": [1, 2, 3, 4]}, np.ones(4))
  assert equal == {"a": 0.0}
