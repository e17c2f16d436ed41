"""Draws of few examples, and the test in pairs."""

import numpy as np
import pytest
from scipy import stats

from jaxvision.evaluation import low_data

LABELS = np.repeat([3, 5], 8)


def test_draws_have_k_examples_of_each_class_and_grow():
  few = low_data.draw(LABELS, examples=2, seed=1)
  more = low_data.draw(LABELS, examples=5, seed=1)
  assert np.bincount(LABELS[few])[[3, 5]].tolist() == [2, 2]
  assert set(few) < set(more) and len(set(more)) == 10
  assert set(few) != set(low_data.draw(LABELS, examples=2, seed=2))
  with pytest.raises(ValueError, match="class 3 has 8 examples, and 9"):
    low_data.draw(LABELS, examples=9, seed=0)


def test_the_comparison_is_in_pairs():
  """The draws differ more than the methods, so pairs matter."""
  rng = np.random.default_rng(0)
  base = rng.uniform(0.2, 0.8, 10)
  better = base + 0.02 + rng.normal(0, 0.005, 10)
  (found,) = low_data.compare({5: base}, {5: better})
  assert found.p == pytest.approx(stats.ttest_rel(better, base).pvalue)
  assert found.p < 1e-4 < stats.ttest_ind(better, base).pvalue
  assert found.difference == pytest.approx(found.second - found.first)
  assert found.first_spread == pytest.approx(np.std(base, ddof=1))


def test_equal_differences_and_wrong_draws():
  same, shifted = {1: [0.1, 0.2]}, {1: [0.1 + 0.5, 0.2 + 0.5]}
  assert low_data.compare(same, same)[0].p == 1.0
  assert low_data.compare(same, shifted)[0].p < 1e-6
  with pytest.raises(ValueError, match="the same draws"):
    low_data.compare(same, {1: [0.1]})
  with pytest.raises(ValueError, match="the same numbers"):
    low_data.compare(same, {2: [0.1, 0.2]})
