"""Tests of fewshot; scikit-learn's ridge is the oracle."""

import jax
import numpy as np
import pytest
from sklearn import datasets, linear_model

from jaxvision.evaluation.probes import fewshot


def _examples(n, d, k, seed=0):
  """Classes around different means, with features of several scales."""
  rng = np.random.default_rng(seed)
  labels = np.arange(n) % k
  noise = rng.normal(size=(n, d))
  features = rng.normal(size=(k, d))[labels] + noise
  features = features * rng.uniform(0.1, 10, d) + rng.normal(size=d)
  return features.astype(np.float32), labels


def _published(features, labels, num_classes):
  """Standardised features with the constant 100, and targets -1 and 1."""
  features = features.astype(np.float64)
  mean, std = features.mean(0), features.std(0) + 1e-5

  def design(new):
    new = (new.astype(np.float64) - mean) / std
    return np.hstack([new, np.full((len(new), 1), 100.0)])

  return design, 2.0 * np.eye(num_classes)[labels] - 1


@pytest.mark.parametrize("strength", [1.0, 2.0**10, 2.0**19])
@pytest.mark.parametrize(("n", "d"), [(60, 7), (15, 40), (21, 20)])
def test_equals_ridge_regression(n, d, strength):
  """With more features than examples, and with fewer."""
  features, labels = _examples(n, d, 3)
  new, _ = _examples(20, d, 3, seed=1)
  design, targets = _published(features, labels, 3)
  oracle = linear_model.Ridge(strength, fit_intercept=False, solver="svd")
  oracle.fit(design(features), targets)
  tree = fewshot.fit(features, labels, num_classes=3, strength=strength)
  np.testing.assert_allclose(
    fewshot.predict(tree, new), oracle.predict(design(new)), atol=2e-4
  )


@pytest.mark.parametrize(("n", "d"), [(60, 7), (15, 40)])
def test_leave_one_out_chooses_as_ridge_cv(n, d):
  features, labels = _examples(n, d, 3)
  design, targets = _published(features, labels, 3)
  oracle = linear_model.RidgeCV(fewshot.STRENGTHS, fit_intercept=False)
  oracle.fit(design(features), targets)
  tree = fewshot.fit(features, labels, num_classes=3, strength="leave_one_out")
  assert tree["strength"] == oracle.alpha_
  assert min(fewshot.STRENGTHS) < oracle.alpha_ < max(fewshot.STRENGTHS)


def test_left_out_error_equals_that_of_n_fits():
  """The oracle fits n times, each time without one example."""
  rng = np.random.default_rng(0)
  design = rng.normal(size=(12, 4))
  design -= design.mean(0)
  targets = rng.normal(size=(12, 2))
  with_bias = np.hstack([design, np.full((12, 1), 100.0)])
  errors = []
  for i in range(12):
    rest = np.arange(12) != i
    oracle = linear_model.Ridge(3.0, fit_intercept=False, solver="svd")
    oracle.fit(with_bias[rest], targets[rest])
    errors.append(oracle.predict(with_bias[i : i + 1])[0] - targets[i])
  left, values, _ = np.linalg.svd(design, full_matrices=False)
  found = fewshot.left_out_error(left, values, targets, 3.0)
  np.testing.assert_allclose(found, np.square(errors).mean(), rtol=1e-5)


def test_digits_from_raw_pixels():
  features, labels = datasets.load_digits(return_X_y=True)
  features = features.astype(np.float32)
  rows = fewshot.draw(labels, shots=10, num_classes=10, seed=0)
  design, targets = _published(features[rows], labels[rows], 10)
  oracle = linear_model.Ridge(1024.0, fit_intercept=False, solver="svd")
  expected = oracle.fit(design(features[rows]), targets).predict(
    design(features[rows])
  )
  tree = fewshot.fit(features[rows], labels[rows], num_classes=10)
  np.testing.assert_allclose(
    fewshot.predict(tree, features[rows]), expected, atol=1e-4
  )
  top1 = np.mean(fewshot.predict(tree, features).argmax(-1) == labels)
  assert 0.8 < top1 < 0.95


def test_constant_features_change_nothing():
  """Their deviation is 0, although their mean has a rounding error."""
  features, labels = _examples(30, 5, 3)
  wider = np.hstack([features, np.full((30, 3), 1e4 / 3, np.float32)])
  tree = fewshot.fit(features, labels, num_classes=3)
  with_constants = fewshot.fit(wider, labels, num_classes=3)
  np.testing.assert_allclose(
    fewshot.predict(with_constants, wider),
    fewshot.predict(tree, features),
    atol=1e-5,
  )


def test_a_class_without_examples_is_never_predicted():
  features, labels = _examples(30, 5, 3)
  tree = fewshot.fit(features, labels, num_classes=4)
  logits = fewshot.predict(tree, features)
  # Regularisation leaves the bias a little short of its target.
  np.testing.assert_allclose(logits[:, 3], -1 / (1 + 1024 / 30e4), rtol=1e-5)


def test_can_be_compiled():
  features, labels = _examples(30, 5, 3)

  @jax.jit
  def both(features, labels):
    tree = fewshot.fit(features, labels, num_classes=3)
    return fewshot.predict(tree, features)

  tree = fewshot.fit(features, labels, num_classes=3)
  np.testing.assert_allclose(
    both(features, labels), fewshot.predict(tree, features), atol=1e-5
  )


def test_draws_shots_of_every_class():
  labels = np.random.default_rng(0).integers(0, 4, 100)
  rows = fewshot.draw(labels, shots=7, num_classes=4, seed=3)
  assert len(set(rows.tolist())) == 28
  assert labels[rows].tolist() == sorted([0, 1, 2, 3] * 7)
  again = fewshot.draw(labels, shots=7, num_classes=4, seed=3)
  np.testing.assert_array_equal(rows, again)
  other = fewshot.draw(labels, shots=7, num_classes=4, seed=4)
  assert set(rows.tolist()) != set(other.tolist())


def test_few_shots_are_among_more_shots():
  labels = np.arange(60) % 3
  few, more = (
    fewshot.draw(labels, shots=shots, num_classes=3, seed=0) for shots in (2, 9)
  )
  assert set(few.tolist()) < set(more.tolist())


@pytest.mark.parametrize(
  ("shots", "problem"),
  [
    (11, r"fewer than 11 examples: class 0 \(10\), 1 \(10\), 2 \(10\)"),
    (0, "0 shots; each class needs at least 1"),
  ],
)
def test_impossible_shots(shots, problem):
  with pytest.raises(ValueError, match=problem):
    fewshot.draw(np.arange(30) % 3, shots=shots, num_classes=3, seed=0)


def test_a_class_that_is_missing_cannot_be_drawn():
  with pytest.raises(ValueError, match=r"1 of 4 classes .*class 3 \(0\)"):
    fewshot.draw(np.arange(30) % 3, shots=1, num_classes=4, seed=0)


@pytest.mark.parametrize("strength", [0, -1.0, "leave_two_out", None])
def test_impossible_strength(strength):
  features, labels = _examples(9, 2, 3)
  with pytest.raises(ValueError, match="must be a positive number"):
    fewshot.fit(features, labels, num_classes=3, strength=strength)


def test_features_that_are_not_finite():
  features, labels = _examples(9, 2, 3)
  features[4, 1] = np.nan
  with pytest.raises(ValueError, match=r"1 of 9 examples .* in row 4"):
    fewshot.fit(features, labels, num_classes=3)
