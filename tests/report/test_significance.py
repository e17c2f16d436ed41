"""Intervals and p-values are correct, checked by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxvision.report import significance


def test_the_interval_covers_the_mean_in_95_percent_of_the_cases():
  rng = np.random.default_rng(0)
  samples = rng.normal(2.0, 3.0, (2000, 5))
  covered = [
    abs(sample.mean() - 2.0) < significance.interval(sample)
    for sample in samples
  ]
  # Three standard errors of a fraction of 2,000.
  assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.0049)
  assert math.isnan(significance.interval(np.ones(1)))


def test_seeds_in_common_are_paired():
  seeds = dict(enumerate([1.0, 5.0, 3.0, 9.0]))
  better = {seed: value + 0.1 + seed / 100 for seed, value in seeds.items()}
  paired = significance.p_value(better, seeds)
  assert paired == pytest.approx(
    stats.ttest_rel(list(better.values()), list(seeds.values())).pvalue
  )
  assert paired < 0.01
  others = {seed + 10: value for seed, value in better.items()}
  welch = stats.ttest_ind(
    list(others.values()), list(seeds.values()), equal_var=False
  )
  assert significance.p_value(others, seeds) == pytest.approx(welch.pvalue)


def test_without_spread_or_seeds_there_is_no_division_by_zero():
  same = {0: 0.5, 1: 0.5}
  assert significance.p_value(same, same) == 1.0
  assert significance.p_value({0: 0.6, 1: 0.6}, same) == 0.0
  assert significance.p_value({2: 0.6, 3: 0.6}, same) == 0.0
  assert math.isnan(significance.p_value({0: 0.6}, same))


def test_pairs_are_corrected_as_holm_does():
  assert significance.holm([0.01, 0.04, 0.03]) == pytest.approx(
    [0.03, 0.06, 0.06]
  )
  assert significance.holm([0.5, math.nan, 0.9])[0] == 1.0
  settings = [dict(enumerate(np.arange(5.0) ** k)) for k in (0, 1, 2)]
  table = significance.pairwise(settings)
  assert np.isnan(np.diag(table)).all()
  np.testing.assert_array_equal(table, table.T)


def test_the_interval_inside_the_limits_covers_more_often_than_the_bootstrap():
  """Accuracies near 1 over five seeds, whose interval often ends above 1."""
  rng = np.random.default_rng(0)
  a, b, drawn = 99.0, 1.5, 500
  mean, cut, covered, by_bootstrap = a / (a + b), 0, 0, 0
  for values in rng.beta(a, b, (drawn, 5)):
    low, high = significance.bounds(values, (0.0, 1.0))
    assert 0 <= low <= values.mean() <= high <= 1
    cut += high == 1
    half = significance.interval(values)
    is_in = abs(values.mean() - mean) <= half
    assert (low <= mean <= high) == is_in
    covered += is_in
    found = stats.bootstrap(
      (values,), np.mean, n_resamples=300, method="percentile", rng=rng
    ).confidence_interval
    by_bootstrap += found.low <= mean <= found.high
  assert cut > 0.1 * drawn
  assert covered > 0.88 * drawn > by_bootstrap


def test_the_interval_of_one_value_is_unknown():
  assert np.isnan(significance.bounds(np.array([0.5]))).all()
