import numpy as np
from scipy import stats

from jaxvision.data.transforms.host import noise

GREY = np.full((200, 200, 3), 128, np.uint8)


def test_gaussian_noise_is_normal_and_independent():
  out = noise.random_gaussian_noise(0.1)(np.random.default_rng(0), GREY)
  added = out.astype(float) - 128
  # Within rounding: 25.5 wide, and 1 / 12 of variance from whole values.
  assert abs(added.mean()) < 5 * 25.5 / np.sqrt(added.size)
  assert abs(added.std() - np.sqrt(25.5**2 + 1 / 12)) < 0.3
  spread = np.random.default_rng(1).uniform(-0.5, 0.5, added.shape)
  smooth = (added + spread).ravel()[:5000]
  assert stats.kstest(smooth, stats.norm(0, 25.5).cdf).pvalue > 0.001
  correlations = np.corrcoef(added.reshape(-1, 3).T)[np.triu_indices(3, 1)]
  assert np.abs(correlations).max() < 5 / np.sqrt(40_000)


def test_gaussian_noise_stays_in_range():
  black = np.zeros((50, 50, 1), np.uint8)
  out = noise.random_gaussian_noise(0.2)(np.random.default_rng(0), black)
  assert abs((out == 0).mean() - 0.5) < 0.06 and out.max() < 255


def test_salt_and_pepper_are_equally_frequent():
  out = noise.random_salt_and_pepper(0.1)(np.random.default_rng(0), GREY)
  assert (np.ptp(out, axis=2) == 0).all()  # whole pixels
  counts = [(out[..., 0] == value).sum() for value in (0, 255, 128)]
  assert sum(counts) == 40_000
  assert stats.chisquare(counts, (2000, 2000, 36_000)).pvalue > 0.001
