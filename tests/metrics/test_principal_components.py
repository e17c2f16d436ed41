"""The components are those of scikit-learn, up to their free sign."""

import numpy as np
from sklearn import decomposition

from jaxvision.metrics import principal_components


def test_components_are_those_of_scikit_learn():
  vectors = np.random.default_rng(0).normal(size=(50, 6)) @ np.diag(range(6))
  places, shares = principal_components.fit(vectors + 3)
  oracle = decomposition.PCA(2).fit(vectors + 3)
  expected = oracle.transform(vectors + 3)
  np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-8)
  np.testing.assert_allclose(shares, oracle.explained_variance_ratio_)
  largest = np.abs(places).argmax(axis=0)
  assert (places[largest, [0, 1]] > 0).all()


def test_without_variance_the_components_are_0():
  for vectors in (np.ones((4, 3)), np.ones((4, 1))):
    places, shares = principal_components.fit(vectors)
    assert not places.any() and not shares.any()
  one = np.arange(4.0)[:, None]
  places, shares = principal_components.fit(one)
  np.testing.assert_allclose(np.abs(places[:, 0]), np.abs(one[:, 0] - 1.5))
  assert shares.tolist() == [1.0, 0.0] and not places[:, 1].any()
