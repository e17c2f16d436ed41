"""Distances of features, against closed forms, scipy and slow versions."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy import linalg

from jaxvision.metrics import generation

RNG = np.random.default_rng(0)


def _covariance(d, rank):
  factor = RNG.normal(size=(d, rank))
  return factor @ factor.T


def test_moments_are_those_of_numpy():
  features = RNG.normal(size=(20, 4)).astype(np.float32)
  mean, covariance = generation.moments(features)
  np.testing.assert_allclose(mean, features.mean(0), rtol=1e-5)
  np.testing.assert_allclose(covariance, np.cov(features.T), rtol=1e-5)


def test_frechet_distance_of_diagonal_gaussians_has_a_closed_form():
  mean, other = RNG.normal(size=(2, 5))
  stds, others = RNG.uniform(0.1, 2, (2, 5))
  found = generation.frechet_distance(
    mean, np.diag(stds**2), other, np.diag(others**2)
  )
  expected = np.sum((mean - other) ** 2) + np.sum((stds - others) ** 2)
  assert found == pytest.approx(expected)


@pytest.mark.parametrize("rank", [8, 3])
def test_frechet_distance_is_that_of_the_matrix_root_of_scipy(rank):
  a, b = _covariance(6, rank), _covariance(6, 8)
  mean, other = RNG.normal(size=(2, 6))
  root = linalg.sqrtm(a @ b).real
  expected = np.sum((mean - other) ** 2) + np.trace(a + b - 2 * root)
  found = generation.frechet_distance(mean, a, other, b)
  assert found == pytest.approx(expected, rel=1e-4)
  assert generation.frechet_distance(mean, a, mean, a) == pytest.approx(
    0, abs=1e-6
  )


@pytest.mark.parametrize("block", [1, 12, 2**20])
def test_kernel_distance_is_the_unbiased_sum_over_pairs(block, monkeypatch):
  monkeypatch.setattr(generation, "_BLOCK", block)
  a, b = RNG.normal(size=(6, 3)), RNG.normal(1, 2, size=(5, 3))

  def kernel(x, y):
    return (x @ y / 3 + 1) ** 3

  def own(features):
    pairs = itertools.permutations(features, 2)
    return np.mean([kernel(x, y) for x, y in pairs])

  cross = np.mean([kernel(x, y) for x in a for y in b])
  expected = own(a) + own(b) - 2 * cross
  assert generation.kernel_distance(a, b) == pytest.approx(expected)


def test_kernel_distance_of_one_distribution_has_the_mean_zero():
  values = [
    generation.kernel_distance(*RNG.normal(size=(2, 20, 2))) for _ in range(400)
  ]
  error = np.std(values) / np.sqrt(len(values))
  assert abs(np.mean(values)) < 4 * error
  assert min(values) < 0


def test_the_memory_of_the_kernel_distance_is_not_that_of_all_pairs():
  features = RNG.normal(size=(2, 2000, 2))
  tracemalloc.start()
  found = generation.kernel_distance(*features)
  _, most = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert most < 2000 * 2000 * 8
  assert abs(found) < 0.1


def test_wrong_features_are_refused():
  with pytest.raises(ValueError, match="at least 2 examples"):
    generation.moments(np.zeros((1, 3)))
  with pytest.raises(ValueError, match="features of 3 and 2 numbers"):
    generation.kernel_distance(np.zeros((4, 3)), np.zeros((4, 2)))
