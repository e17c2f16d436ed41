"""Tests of jaxvision.interpret.embeddings: components, position similarity."""

import numpy as np
import pytest
import sklearn.decomposition
import small_classifiers

from jaxvision import interpret
from jaxvision.interpret.feature_maps import Grid
from jaxvision.layers import positions


def test_components_are_those_of_scikit_learn():
  kernel = np.random.default_rng(0).normal(size=(4, 3, 2, 50)) + 0.5
  found, explained = interpret.filter_components(kernel, count=6)
  oracle = sklearn.decomposition.PCA(6).fit(kernel.reshape(24, 50).T)
  assert found.shape == (6, 4, 3, 2)
  np.testing.assert_allclose(
    np.abs(found.reshape(6, 24)), np.abs(oracle.components_), atol=1e-5
  )
  np.testing.assert_allclose(
    explained, oracle.explained_variance_ratio_, rtol=1e-5
  )
  largest = np.abs(found.reshape(6, 24)).argmax(axis=1)
  assert (found.reshape(6, 24)[np.arange(6), largest] > 0).all()


def test_filters_on_a_line_have_one_component():
  direction = np.random.default_rng(0).normal(size=(2, 2, 3))
  kernel = 5 + direction[..., None] * np.arange(-3, 4)
  found, explained = interpret.filter_components(kernel, count=2)
  np.testing.assert_allclose(explained, [1, 0], atol=1e-6)
  unit = direction / np.linalg.norm(direction)
  np.testing.assert_allclose(np.abs(found[0]), np.abs(unit), atol=1e-6)


def test_more_components_than_there_are_is_an_error():
  with pytest.raises(ValueError, match=r"count is 13, but .* use 1 to 12"):
    interpret.filter_components(np.ones((2, 2, 3, 40)), count=13)


def test_components_of_the_patch_embedding_of_a_model():
  model, variables = small_classifiers.classifier("vit")
  path, kernel = interpret.first_kernel(
    model, params=variables["params"], image_shape=(16, 16, 3)
  )
  assert path == "embedding/kernel"
  np.testing.assert_array_equal(
    kernel, variables["params"]["embedding"]["kernel"]
  )


def _positions(name, **options):
  model, variables = small_classifiers.classifier(name, **options)
  found = interpret.position_embeddings(
    model, variables, image_shape=(16, 16, 3)
  )
  return variables["params"], *found


@pytest.mark.parametrize(
  ("name", "before"), [("vit", 1), ("vit_mean", 0), ("vit_distilled", 2)]
)
@pytest.mark.parametrize("scan", [False, True])
def test_learned_positions_are_the_parameter(name, before, scan):
  params, table, grid = _positions(name, scan_layers=scan)
  learned = params["Transformer"]["posembed_input"]["pos_embedding"][0]
  assert len(learned) == before + 16
  np.testing.assert_array_equal(table, learned[before:])
  assert (grid.rows, grid.columns) == (4, 4)


def test_positions_of_patches_only():
  params, table, _ = _positions("vit", positions="learned_patches")
  learned = params["Transformer"]["posembed_input"]["pos_embedding"][0]
  np.testing.assert_array_equal(table, learned)


@pytest.mark.parametrize("name", ["vit", "vit_mean"])
def test_fixed_positions_are_their_table(name):
  _, table, grid = _positions(name, positions="sincos2d")
  expected = positions.sincos2d((4, 4), width=12)
  np.testing.assert_array_equal(table, expected)
  # The products of sines and cosines are cosines of the difference.
  found = interpret.position_similarity(table, grid=grid)
  frequencies = 10_000.0 ** -(np.arange(3) / 2)
  rows, columns = np.indices((4, 4))
  for i, j in ((0, 0), (1, 3)):
    expected = np.mean(
      [
        np.cos(frequency * (places - own))
        for frequency in frequencies
        for places, own in ((rows, i), (columns, j))
      ],
      axis=0,
    )
    np.testing.assert_allclose(found[i, j], expected, atol=1e-5)


@pytest.mark.parametrize(
  ("name", "options"),
  [("vit", {"positions": "rotary", "num_heads": 1}), ("mixer", {})],
)
def test_a_model_without_added_positions_is_an_error(name, options):
  with pytest.raises(ValueError, match=r"\w+ adds no positions to its patches"):
    _positions(name, **options)


def test_a_model_without_patches_is_an_error():
  with pytest.raises(ValueError, match="ResNet has no tokens of patches"):
    _positions("resnet")


def test_similarity_is_symmetric_with_ones_on_the_diagonal():
  table = np.random.default_rng(0).normal(size=(6, 5))
  found = interpret.position_similarity(table, grid=Grid(2, 3, True))
  assert found.shape == (2, 3, 2, 3)
  square = found.reshape(6, 6)
  np.testing.assert_allclose(square, square.T, atol=1e-7)
  np.testing.assert_allclose(square.diagonal(), 1, rtol=1e-6)
  one, other = table[1], table[5]
  cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
  assert found[0, 1, 1, 2] == pytest.approx(cosine, rel=1e-5)


def test_tables_without_a_similarity_are_errors():
  grid = Grid(2, 2, True)
  with pytest.raises(ValueError, match="5 vectors, but the grid 2x2; leave"):
    interpret.position_similarity(np.ones((5, 3)), grid=grid)
  table = np.ones((4, 3))
  table[2] = 0
  with pytest.raises(ValueError, match=r"the vectors \[2\] are zero"):
    interpret.position_similarity(table, grid=grid)
