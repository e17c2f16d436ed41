"""Tests of jaxvision.evaluation.probes.knn; scikit-learn is the oracle."""

import jax
import numpy as np
import pytest
from sklearn import datasets, neighbors

from jaxvision import parallel
from jaxvision.evaluation.probes import knn


def _examples(n, d=6, k=5, seed=0):
  rng = np.random.default_rng(seed)
  features = rng.normal(size=(n, d)).astype(np.float32)
  return features, rng.integers(0, k, n)


def _mesh(devices):
  fsdp = min(devices, 2)
  return parallel.make_mesh(jax.devices()[:devices], fsdp=fsdp)


def _shares(features, labels, new, *, k, temperature=0.07):
  oracle = neighbors.KNeighborsClassifier(
    k,
    metric="cosine",
    weights=lambda distance: np.exp((1 - distance) / temperature),
  )
  return oracle.fit(features.astype(np.float64), labels).predict_proba(new)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize(("n", "k"), [(53, 20), (53, 1), (3, 3), (64, 64)])
def test_shares_of_the_votes(devices, n, k):
  """Also with fewer examples than devices, and with votes of all examples."""
  features, labels = _examples(n, k=2)
  labels[:2] = 0, 1
  new, _ = _examples(11, seed=1)
  bank = knn.fit(features, labels, num_classes=2, k=k, mesh=_mesh(devices))
  np.testing.assert_allclose(
    np.exp(knn.predict(bank, new)),
    _shares(features, labels, new, k=k),
    atol=1e-5,
  )


@pytest.mark.parametrize("devices", [1, 8])
def test_several_blocks(devices):
  """Several blocks of examples and queries; the last blocks are not full."""
  features, labels = _examples(40_003)
  new, _ = _examples(270, seed=1)
  bank = knn.fit(features, labels, num_classes=5, k=7, mesh=_mesh(devices))
  np.testing.assert_allclose(
    np.exp(knn.predict(bank, new)),
    _shares(features, labels, new, k=7),
    atol=1e-5,
  )


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_euclidean_neighbours_with_equal_votes(devices, offset):
  """Also far from the origin, where squares lose the differences."""
  features, labels = _examples(200)
  new, _ = _examples(11, seed=1)
  features, new = (features + np.float32(offset), new + np.float32(offset))
  bank = knn.fit(
    features,
    labels,
    num_classes=5,
    k=7,
    temperature=None,
    distance="euclidean",
    mesh=_mesh(devices),
  )
  oracle = neighbors.KNeighborsClassifier(7)
  expected = oracle.fit(features.astype(np.float64), labels).predict_proba(new)
  np.testing.assert_allclose(
    np.exp(knn.predict(bank, new)), expected, atol=1e-6
  )


def test_euclidean_votes_fall_with_the_squared_distance():
  features = np.array([[0.0], [1.0], [3.0]], np.float32)
  options = {"k": 3, "temperature": 2.0, "distance": "euclidean"}
  bank = knn.fit(features, np.arange(3), num_classes=3, **options)
  votes = np.exp(-np.array([0.0, 1.0, 9.0]) / (2 * 2.0))
  np.testing.assert_allclose(
    np.exp(knn.predict(bank, features[:1]))[0], votes / votes.sum(), rtol=1e-5
  )


@pytest.mark.parametrize("devices", [1, 8])
def test_of_equally_near_examples_the_first_vote(devices):
  features = np.ones((40, 3), np.float32)
  labels = np.arange(40) % 4
  bank = knn.fit(features, labels, num_classes=4, k=6, mesh=_mesh(devices))
  shares = np.exp(knn.predict(bank, features[:1]))
  np.testing.assert_allclose(shares, [[2 / 6, 2 / 6, 1 / 6, 1 / 6]], rtol=1e-6)


def test_the_devices_share_the_examples():
  features, labels = _examples(80)
  bank = knn.fit(features, labels, num_classes=5, mesh=_mesh(8))
  assert {each.data.shape for each in bank.examples.addressable_shards} == {
    (10, 6)
  }


def test_memory_does_not_grow_with_pairs():
  """20,000 queries and 40,000 examples: the similarities would be 3.2 GB."""
  features, labels = _examples(40_000)
  bank = knn.fit(features, labels, num_classes=5, mesh=_mesh(1))
  queries = jax.ShapeDtypeStruct((20_000, 6), np.float32)
  compiled = knn._predict.lower(bank, queries).compile()
  assert compiled.memory_analysis().temp_size_in_bytes < 50e6


def test_digits_from_raw_pixels():
  features, labels = datasets.load_digits(return_X_y=True)
  train, test = slice(0, 1400), slice(1400, None)
  bank = knn.fit(features[train], labels[train], num_classes=10)
  logits = knn.predict(bank, features[test])
  expected = _shares(features[train], labels[train], features[test], k=20)
  np.testing.assert_allclose(np.exp(logits), expected, atol=1e-5)
  assert np.mean(logits.argmax(-1) == labels[test]) > 0.93


def test_small_temperatures_do_not_overflow():
  features, labels = _examples(30)
  bank = knn.fit(features, labels, num_classes=5, k=5, temperature=1e-4)
  logits = np.asarray(knn.predict(bank, features))
  assert np.isfinite(logits).all()
  np.testing.assert_array_equal(logits.argmax(-1), labels)


def test_a_class_without_examples_gets_no_vote():
  features, labels = _examples(30)
  bank = knn.fit(features, labels, num_classes=6)
  assert np.all(knn.predict(bank, features)[:, 5] < -87)


def test_can_be_compiled():
  features, labels = _examples(30)
  bank = knn.fit(features, labels, num_classes=5, k=5)
  np.testing.assert_allclose(
    jax.jit(knn.predict)(bank, features), knn.predict(bank, features), rtol=1e-5
  )


@pytest.mark.parametrize(
  ("options", "problem"),
  [
    ({"k": 31}, r"k is 31, but there are 30 examples; k must be in \[1, 30\]"),
    ({"k": 0}, "k is 0"),
    ({"temperature": 0.0}, "temperature is 0.0; it must be positive"),
    ({"distance": "euclidian"}, "did you mean 'euclidean'"),
    ({"num_classes": 4}, r"labels are in \[0, 4\], outside the 4 classes"),
  ],
)
def test_impossible_options(options, problem):
  features, labels = _examples(30)
  with pytest.raises(ValueError, match=problem):
    knn.fit(features, labels, **{"num_classes": 5, **options})


def test_features_that_are_not_finite():
  features, labels = _examples(30)
  features[7] = np.inf
  with pytest.raises(ValueError, match=r"1 of 30 examples .* in row 7"):
    knn.fit(features, labels, num_classes=5)
