import colorsys

import numpy as np
import pytest
from PIL import Image

from jaxvision.data.transforms.host import color

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_grey_is_pillows():
  ours = color.grayscale()(None, IMAGE)
  expected = np.asarray(Image.fromarray(IMAGE).convert("L").convert("RGB"))
  assert np.abs(ours - expected.astype(int)).max() <= 1
  one = IMAGE[..., :1]
  np.testing.assert_array_equal(color.grayscale()(None, one), one)


@pytest.mark.parametrize("shift", [-1, -0.6, -0.5, -0.1, 0, 0.05, 0.5, 0.9])
def test_hue_turns_in_hsv(shift):
  ours = color.hue(shift)(None, IMAGE)
  for pixel, turned in zip(
    IMAGE.reshape(-1, 3), ours.reshape(-1, 3), strict=True
  ):
    hue, *rest = colorsys.rgb_to_hsv(*pixel / 255)
    expected = 255 * np.array(colorsys.hsv_to_rgb((hue + shift) % 1, *rest))
    np.testing.assert_allclose(turned, expected, atol=0.51)


def test_grey_has_no_hue():
  np.testing.assert_array_equal(
    color.hue(0.3)(None, IMAGE[..., :1]), IMAGE[..., :1]
  )


def test_lighting_has_the_covariance_of_the_paper():
  # Every pixel of an image changes by the same colour. Its covariance is
  # V diag((std * values)^2) V^T.
  middle = np.full((1, 1, 3), 128, np.uint8)
  lighting, rng = color.random_lighting(std=0.5), np.random.default_rng(0)
  moves = np.stack([lighting(rng, middle)[0, 0] for _ in range(20_000)]) - 128.0
  vectors, values = color.LIGHTING_VECTORS, color.LIGHTING_VALUES
  expected = vectors @ np.diag((255 * 0.5 * values) ** 2) @ vectors.T
  # Rounding to whole values adds a variance of 1 / 12.
  expected += np.eye(3) / 12
  np.testing.assert_allclose(np.cov(moves.T), expected, rtol=0.05)
  # Five standard errors of the mean.
  np.testing.assert_array_less(
    np.abs(moves.mean(0)), 5 * np.sqrt(np.diag(expected) / 20_000)
  )


def test_lighting_moves_all_pixels_by_the_same():
  dull = (100 + IMAGE // 8).astype(np.uint8)
  out = color.random_lighting(std=0.5)(np.random.default_rng(0), dull)
  moves = (out.astype(int) - dull).reshape(-1, 3)
  assert (moves == moves[0]).all() and moves[0].any()


def test_components_are_orthonormal():
  vectors = color.LIGHTING_VECTORS
  np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-4)


def test_lighting_refuses_grey():
  with pytest.raises(ValueError, match=r"random_lighting needs RGB.*has 1 ch"):
    color.random_lighting()(np.random.default_rng(0), IMAGE[..., :1])
