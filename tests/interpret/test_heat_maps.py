"""Tests of jaxvision.interpret.heat_maps: sizes, scales and colours."""

import cv2
import matplotlib
import numpy as np
import pytest

from jaxvision import interpret
from jaxvision.interpret import heat_maps


def _maps(*shape):
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
  ("shape", "larger"), [((7, 7), (32, 32)), ((2, 3), (9, 4)), ((1, 1), (5, 5))]
)
def test_maps_are_resized_as_by_opencv(shape, larger):
  maps = _maps(2, *shape)
  found = heat_maps.resized(maps, larger)
  expected = [cv2.resize(each, larger[::-1]) for each in maps]
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scaled_maps_begin_at_0_and_end_at_1():
  maps = _maps(3, 4, 5)
  maps[1] = 7
  found = interpret.scaled(maps)
  np.testing.assert_array_equal(found[1], np.zeros((4, 5)))
  for each, map_ in ((found[0], maps[0]), (found[2], maps[2])):
    assert each.min() == 0 and each.max() == 1
    correlation = np.corrcoef(each.ravel(), map_.ravel())[0, 1]
    assert correlation == pytest.approx(1, abs=1e-6)
  np.testing.assert_allclose(interpret.scaled(3 * maps - 1), found, atol=1e-6)


def test_maps_with_values_that_are_not_finite_are_an_error():
  maps = _maps(3, 2, 2)
  maps[1, 0, 0] = np.nan
  with pytest.raises(ValueError, match=r"the maps \[1\] have values"):
    interpret.scaled(maps)


_LEVELS = np.linspace(0, 1, 256, dtype=np.float32)


@pytest.mark.parametrize("colors", ["viridis", "inferno", "turbo"])
def test_colors_are_the_tables_of_matplotlib(colors):
  found = heat_maps.colored(_LEVELS[None, None], colors=colors)
  table = matplotlib.colormaps[colors](np.arange(256))[..., :3] * 255
  np.testing.assert_allclose(found[0, 0], table, atol=2)


def test_jet_is_three_trapezoids():
  """Matplotlib's red and blue differ from it by up to 34 levels."""
  found = heat_maps.colored(_LEVELS[None, None])
  apart = np.abs(4 * _LEVELS[:, None] - np.array([[3, 2, 1]]))
  np.testing.assert_allclose(
    found[0, 0], 255 * np.clip(1.5 - apart, 0, 1), atol=4
  )


def test_an_overlay_is_the_mean_of_image_and_colors():
  maps = np.array([[[0, 1], [0.5, 0.25]]], np.float32)
  image = np.array([[[10, 20], [30, 40]]], np.uint8)[..., None]
  found = interpret.overlay(image, maps)
  assert found.shape == (1, 2, 2, 3) and found.dtype == np.uint8
  blue, red = np.array([0, 0, 128]), np.array([128, 0, 0])
  assert np.abs(found[0, 0, 0] - (10 + blue) / 2).max() <= 1
  assert np.abs(found[0, 0, 1] - (20 + red) / 2).max() <= 1
  np.testing.assert_array_equal(
    interpret.overlay(image / 255, 5 * maps - 3), found
  )
  without = interpret.overlay(image, maps, weight=0)
  np.testing.assert_array_equal(without, np.repeat(image, 3, axis=-1))


def test_an_overlay_enlarges_the_maps():
  images = np.zeros((2, 8, 8, 3), np.uint8)
  found = interpret.overlay(images, _maps(2, 2, 2), weight=1)
  assert found.shape == (2, 8, 8, 3)
  corners = heat_maps.colored(interpret.scaled(_maps(2, 2, 2)))
  np.testing.assert_array_equal(found[:, ::7, ::7], corners)


def test_errors_of_an_overlay():
  images = np.zeros((2, 4, 4, 3), np.uint8)
  with pytest.raises(
    ValueError, match=r"maps have shape \(1, 4, 4\); expected"
  ):
    interpret.overlay(images, _maps(1, 4, 4))
  with pytest.raises(ValueError, match=r"values in \[-1, 1\]; expected uint8"):
    interpret.overlay(
      np.linspace(-1, 1, 96).reshape(2, 4, 4, 3), _maps(2, 4, 4)
    )
  with pytest.raises(ValueError, match=r"images have shape \(4, 4, 3\)"):
    interpret.overlay(images[0], _maps(2, 4, 4))
  with pytest.raises(ValueError, match="unknown table of colours 'jett'; did"):
    interpret.overlay(images, _maps(2, 4, 4), colors="jett")
