"""Tests of jaxvision.evaluation.probes.logistic; scikit-learn is the oracle."""

import logging

import jax
import numpy as np
import pytest
from sklearn import datasets, linear_model

from jaxvision.evaluation.probes import logistic


def _examples(n=120, d=6, k=4, seed=0):
  rng = np.random.default_rng(seed)
  labels = np.arange(n) % k
  features = rng.normal(size=(k, d))[labels] + rng.normal(size=(n, d))
  features = features * rng.uniform(0.3, 3, d) + 5
  return features.astype(np.float32), labels


def _oracle(features, labels, strength):
  oracle = linear_model.LogisticRegression(
    C=1 / strength, solver="newton-cg", tol=1e-8, max_iter=1000
  )
  return oracle.fit(features.astype(np.float64), labels)


@pytest.mark.parametrize("strength", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize(("n", "d"), [(120, 6), (24, 60)])
def test_equals_scikit_learn(n, d, strength):
  """Also for classes that are easy to separate."""
  features, labels = _examples(n, d)
  new, _ = _examples(n, d, seed=1)
  tree = logistic.fit(features, labels, num_classes=4, strength=strength)
  expected = _oracle(features, labels, strength)
  np.testing.assert_allclose(
    jax.nn.softmax(logistic.predict(tree, new)),
    expected.predict_proba(new),
    atol=1e-3,
  )
  np.testing.assert_allclose(
    tree["kernel"].T, expected.coef_, atol=1e-3 * np.abs(expected.coef_).max()
  )


def test_two_classes():
  """scikit-learn has one column of weights; here two columns have half each."""
  features, labels = _examples(k=2)
  tree = logistic.fit(features, labels, num_classes=2, strength=1.0)
  expected = _oracle(features, labels, 0.5)
  np.testing.assert_allclose(
    jax.nn.softmax(logistic.predict(tree, features)),
    expected.predict_proba(features),
    atol=1e-3,
  )


def test_digits_from_raw_pixels():
  features, labels = datasets.load_digits(return_X_y=True)
  train, test = slice(0, 1400), slice(1400, None)
  tree = logistic.fit(
    features[train], labels[train], num_classes=10, strength=10.0
  )
  logits = logistic.predict(tree, features[test])
  expected = _oracle(features[train], labels[train], 10.0)
  np.testing.assert_allclose(
    jax.nn.softmax(logits), expected.predict_proba(features[test]), atol=1e-3
  )
  assert np.mean(logits.argmax(-1) == labels[test]) > 0.9


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_any_scale_of_the_features(scale):
  """Weights a thousand times smaller cost a million times less."""
  features, labels = _examples()
  found = [
    logistic.predict(
      logistic.fit(each, labels, num_classes=4, strength=strength), each
    )
    for each, strength in ((features, 1.0), (features * scale, scale**2))
  ]
  np.testing.assert_allclose(*found, atol=1e-3)


def test_constant_features_leave_the_frequencies():
  labels = np.asarray([0, 0, 0, 1])
  tree = logistic.fit(np.ones((4, 2), np.float32), labels, num_classes=2)
  shares = jax.nn.softmax(logistic.predict(tree, np.ones((1, 2), np.float32)))
  np.testing.assert_allclose(shares, [[0.75, 0.25]], atol=1e-4)


def test_can_be_compiled():
  features, labels = _examples()

  @jax.jit
  def both(features, labels):
    tree = logistic.fit(features, labels, num_classes=4)
    return logistic.predict(tree, features)

  tree = logistic.fit(features, labels, num_classes=4)
  np.testing.assert_allclose(
    both(features, labels), logistic.predict(tree, features), atol=1e-3
  )


def test_says_that_it_has_not_converged(caplog):
  features, labels = _examples()
  with caplog.at_level(logging.WARNING):
    logistic.fit(features, labels, num_classes=4, max_steps=1)
  assert "has not converged in 1 steps" in caplog.text
  caplog.clear()
  logistic.fit(features, labels, num_classes=4)
  assert not caplog.text


def test_a_class_that_is_missing():
  features, labels = _examples()
  with pytest.raises(ValueError, match=r"1 of 5 classes .*class 4 \(0\)"):
    logistic.fit(features, labels, num_classes=5)


def test_impossible_strength():
  features, labels = _examples()
  with pytest.raises(ValueError, match="strength is 0; it must be positive"):
    logistic.fit(features, labels, num_classes=4, strength=0)


def test_features_that_are_not_finite():
  features, labels = _examples()
  features[4, 1] = np.nan
  with pytest.raises(ValueError, match=r"1 of 120 examples .* in row 4"):
    logistic.fit(features, labels, num_classes=4)
