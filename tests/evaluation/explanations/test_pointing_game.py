"""The pointing game: boxes, masks, tolerance, classes."""

import numpy as np
import pytest

from jaxvision.evaluation.explanations import pointing_game


def peak(*place, shape=(100, 90)):
  found = np.zeros((1, *shape))
  found[0, *place] = 1
  return found


def test_boxes_grow_by_15_pixels_at_each_side():
  region = pointing_game.of_boxes([(20, 30, 40, 50)], (100, 90))
  assert region.sum() == 20 * 20
  grown = pointing_game.grown(region[None])
  larger = pointing_game.of_boxes([(5, 15, 55, 65)], (100, 90))
  assert (grown[0] == larger).all()
  for place, hit in (((5, 15), True), ((4, 15), False), ((54, 65), False)):
    assert pointing_game.hits(peak(*place), grown).tolist() == [hit]


def test_masks_grow_by_a_square():
  """At the border and within a batch, one image does not touch another."""
  rng = np.random.default_rng(0)
  regions = rng.random((3, 12, 9)) < 0.03
  expected = np.zeros_like(regions)
  for number, row, column in zip(*np.nonzero(regions), strict=True):
    top, left = max(row - 2, 0), max(column - 2, 0)
    expected[number, top : row + 3, left : column + 3] = True
  found = pointing_game.grown(regions, tolerance=2)
  assert regions.any() and (found == expected).all()
  assert (pointing_game.grown(regions, tolerance=0) == regions).all()


def test_a_union_of_boxes_is_one_region():
  region = pointing_game.of_boxes([(0, 0, 2, 2), (5, 5, 7, 9)], (8, 9))
  grown = pointing_game.grown(region[None], tolerance=0)
  hits = [
    pointing_game.hits(peak(*place, shape=(8, 9)), grown)[0]
    for place in ((1, 1), (6, 8), (3, 3))
  ]
  assert hits == [True, True, False]


def test_the_first_of_equal_maxima_counts():
  regions = np.zeros((1, 2, 3), bool)
  regions[0, 0, 0] = True
  assert pointing_game.hits(np.zeros((1, 2, 3)), regions).all()
  assert not pointing_game.hits(np.array([[[0, 1, 0], [1, 0, 0]]]), regions)[0]


def test_accuracies_are_of_classes_and_then_their_mean():
  hit = np.array([True, True, True, False, False])
  labels = np.array([4, 4, 4, 4, 7])
  assert pointing_game.accuracies(hit, labels) == {4: 0.75, 7: 0.0}


def test_the_smoothing_is_a_gaussian_of_2_percent_of_the_longer_side():
  maps = peak(50, 45)
  sigma = 0.02 * 100
  weights = np.exp(-(np.arange(-8, 9) ** 2) / (2 * sigma**2))
  weights /= weights.sum()
  found = pointing_game.smoothed(maps, share=0.02)
  np.testing.assert_allclose(
    found[0, 42:59, 37:54], np.outer(weights, weights), atol=1e-12
  )
  assert found.sum() == pytest.approx(1)
  assert pointing_game.smoothed(maps, share=0) is maps
