import math

import numpy as np
import pytest
from scipy import stats

from jaxvision.data.transforms.host import jitter

# Two pixels whose mean grey is 80, of different colours.
IMAGE = np.array((((100, 50, 50), (93, 93, 93)),), np.uint8)


def draws(number, **reach):
  rng = np.random.default_rng(0)
  transform = jitter.random_color_jitter(**reach)
  return np.stack([transform(rng, IMAGE) for _ in range(number)]).astype(float)


def test_brightness_is_uniform_about_one():
  values = draws(3000, brightness=0.4)[:, 0, 0, 0]
  assert values.min() == 60 and values.max() == 139
  # Pillow rounds down; a random fraction compensates this.
  factors = (values + np.random.default_rng(1).random(3000)) / 100
  assert stats.kstest(factors, "uniform", (0.6, 0.8)).pvalue > 0.001


def test_contrast_is_uniform_about_one():
  # The mean stays, the difference of the pixels is multiplied.
  out = draws(3000, contrast=0.3)
  factors = (out[:, 0, 0, 0] - out[:, 0, 0, 1]) / 50
  quartiles = np.quantile(factors, (0.25, 0.5, 0.75))
  np.testing.assert_allclose(quartiles, (0.85, 1, 1.15), atol=0.03)
  assert 0.69 < factors.min() < 0.73 and 1.27 < factors.max() < 1.31
  assert abs(factors.mean() - 1) < 5 * 0.6 / math.sqrt(12 * 3000)


def test_saturation_is_uniform_about_one():
  factors = np.ptp(draws(3000, saturation=0.5)[:, 0, 0], axis=1) / 50
  assert 0.48 < factors.min() < 0.53 and 1.47 < factors.max() < 1.52
  # Rounding down of both colours adds nothing to their difference.
  assert abs(factors.mean() - 1) < 5 / math.sqrt(12 * 3000)


def test_hue_is_uniform_and_leaves_grey():
  out = draws(500, hue=0.1)
  assert (out[:, 0, 1] == 93).all()
  # Red turns by up to a tenth: towards yellow (green) or magenta (blue).
  assert (out[:, 0, 0, 0] == 100).all()
  shifts = (out[:, 0, 0, 1] - out[:, 0, 0, 2]) / 50 / 6
  assert -0.1 - 2e-3 <= shifts.min() < -0.09 and 0.09 < shifts.max() < 0.102
  assert stats.kstest(shifts, "uniform", (-0.1, 0.2)).pvalue > 0.001


def test_the_order_is_drawn():
  # The four ranges differ, so that the factors asked for show the order.
  changes = []

  class Fixed(np.random.Generator):
    def uniform(self, low, high):
      changes.append((low, high))
      return (low + high) / 2

  rng = Fixed(np.random.PCG64(0))
  transform = jitter.random_color_jitter(
    brightness=0.1, contrast=0.2, saturation=0.3, hue=0.4
  )
  for _ in range(2400):
    transform(rng, IMAGE)
  orders = np.array(changes)[:, 1].reshape(-1, 4)
  _, counts = np.unique(orders, axis=0, return_counts=True)
  assert len(counts) == 24
  assert stats.chisquare(counts).pvalue > 0.001


def test_nothing_to_change_is_an_error():
  with pytest.raises(ValueError, match="set brightness"):
    jitter.random_color_jitter()
