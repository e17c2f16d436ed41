"""Tests of discriminant; scikit-learn is the oracle."""

import jax
import numpy as np
import pytest
from sklearn import datasets, decomposition, discriminant_analysis

from jaxvision.evaluation.probes import discriminant


def _examples(n=90, d=6, k=3, seed=0):
  """Correlated features of several scales; classes of several sizes."""
  rng = np.random.default_rng(seed)
  labels = np.sort(rng.integers(0, k, n))
  labels[: 4 * k] = np.repeat(np.arange(k), 4)
  mixing = rng.normal(size=(d, d)) * rng.uniform(0.3, 3, d)
  features = rng.normal(size=(n, d)) @ mixing + 50
  features += 2 * rng.normal(size=(k, d))[labels]
  order = rng.permutation(n)
  return features[order].astype(np.float32), labels[order]


def _log_probabilities(tree, features):
  return jax.nn.log_softmax(discriminant.predict(tree, features))


def _linear(features, labels, shrinkage):
  oracle = discriminant_analysis.LinearDiscriminantAnalysis(
    solver="lsqr", shrinkage="auto" if shrinkage == "ledoit_wolf" else shrinkage
  )
  return oracle.fit(features.astype(np.float64), labels)


def _quadratic(features, labels, shrinkage):
  oracle = discriminant_analysis.QuadraticDiscriminantAnalysis(
    reg_param=shrinkage
  )
  return oracle.fit(features.astype(np.float64), labels)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0, "ledoit_wolf"])
@pytest.mark.parametrize("n", [90, 4000])
def test_linear(shrinkage, n):
  """Also if a class does not fit into one block."""
  features, labels = _examples(n)
  tree = discriminant.fit(features, labels, num_classes=3, shrinkage=shrinkage)
  np.testing.assert_allclose(
    _log_probabilities(tree, features),
    _linear(features, labels, shrinkage).predict_log_proba(features),
    rtol=1e-3,
    atol=1e-3,
  )


@pytest.mark.parametrize("shrinkage", [0.5, "ledoit_wolf"])
def test_linear_with_more_features_than_examples(shrinkage):
  features, labels = _examples(n=30, d=50)
  tree = discriminant.fit(features, labels, num_classes=3, shrinkage=shrinkage)
  np.testing.assert_allclose(
    _log_probabilities(tree, features),
    _linear(features, labels, shrinkage).predict_log_proba(features),
    rtol=1e-3,
    atol=1e-3,
  )


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_quadratic(shrinkage):
  features, labels = _examples()
  tree = discriminant.fit(
    features, labels, num_classes=3, kind="quadratic", shrinkage=shrinkage
  )
  np.testing.assert_allclose(
    _log_probabilities(tree, features),
    _quadratic(features, labels, shrinkage).predict_log_proba(features),
    rtol=1e-3,
    atol=1e-3,
  )


@pytest.mark.parametrize(
  ("kind", "shrinkage"),
  [
    ("linear", 0.0),
    ("linear", 0.1),
    ("linear", "ledoit_wolf"),
    ("quadratic", 0.1),
  ],
)
def test_digits_from_raw_pixels(kind, shrinkage):
  """Some pixels never change, or change only in some of the classes."""
  features, labels = datasets.load_digits(return_X_y=True)
  train, test = slice(0, 1400), slice(1400, None)
  tree = discriminant.fit(
    features[train],
    labels[train],
    num_classes=10,
    kind=kind,
    shrinkage=shrinkage,
  )
  oracle = {"linear": _linear, "quadratic": _quadratic}[kind]
  expected = oracle(features[train], labels[train], shrinkage)
  found = _log_probabilities(tree, features[test])
  np.testing.assert_allclose(
    np.exp(found), expected.predict_proba(features[test]), atol=1e-3
  )
  assert np.mean(found.argmax(-1) == labels[test]) > 0.88


def test_linear_analysis_needs_no_units():
  """Without shrinkage, the units of features do not matter."""
  features, labels = _examples()
  units = np.asarray([1e-3, 1e3, 1, 7, 1e-2, 1e2], np.float32)
  found = [
    discriminant.predict(discriminant.fit(each, labels, num_classes=3), each)
    for each in (features, features * units)
  ]
  np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)


def test_can_be_compiled():
  features, labels = _examples()
  for kind in discriminant.KINDS:

    @jax.jit
    def both(features, labels, kind=kind):
      tree = discriminant.fit(features, labels, num_classes=3, kind=kind)
      return discriminant.predict(tree, features)

    tree = discriminant.fit(features, labels, num_classes=3, kind=kind)
    np.testing.assert_allclose(
      both(features, labels),
      discriminant.predict(tree, features),
      rtol=1e-3,
      atol=1e-3,
    )


@pytest.mark.parametrize("kind", discriminant.KINDS)
def test_principal_components(kind):
  features, labels = _examples(n=400)
  tree = discriminant.fit(
    features, labels, num_classes=3, kind=kind, components=4
  )
  analysis = decomposition.PCA(4).fit(features.astype(np.float64))
  oracle = {"linear": _linear, "quadratic": _quadratic}[kind]
  reduced = analysis.transform(features)
  np.testing.assert_allclose(
    _log_probabilities(tree, features),
    oracle(reduced, labels, 0.0).predict_log_proba(reduced),
    rtol=1e-3,
    atol=1e-3,
  )


def test_a_class_that_varies_too_little():
  features, labels = _examples(d=30)
  with pytest.raises(ValueError, match=r"shrinkage 0.0; raise the shrinkage"):
    discriminant.fit(features, labels, num_classes=3, kind="quadratic")
  features[labels == 1, 4] = 2.0
  with pytest.raises(ValueError, match="the first is class 1, do not vary"):
    discriminant.fit(features[:, :6], labels, num_classes=3, kind="quadratic")


@pytest.mark.parametrize("kind", discriminant.KINDS)
def test_a_class_that_is_missing(kind):
  features, labels = _examples()
  with pytest.raises(ValueError, match=r"1 of 4 classes .*class 3 \(0\)"):
    discriminant.fit(features, labels, num_classes=4, kind=kind)


@pytest.mark.parametrize(
  ("options", "problem"),
  [
    ({"kind": "linaer"}, "did you mean 'linear'"),
    ({"components": 7}, r"components is 7, but there are 6 features; .* 6"),
    ({"shrinkage": 1.5}, r"shrinkage is 1.5; it must be in \[0, 1\]"),
    ({"shrinkage": "auto"}, "shrinkage is 'auto'; it must be a number"),
    ({"kind": "quadratic", "shrinkage": "ledoit_wolf"}, "must be a number"),
  ],
)
def test_impossible_options(options, problem):
  features, labels = _examples()
  with pytest.raises(ValueError, match=problem):
    discriminant.fit(features, labels, num_classes=3, **options)


def test_features_that_are_not_finite():
  features, labels = _examples()
  features[4, 1] = np.nan
  with pytest.raises(ValueError, match=r"1 of 90 examples .* in row 4"):
    discriminant.fit(features, labels, num_classes=3)
