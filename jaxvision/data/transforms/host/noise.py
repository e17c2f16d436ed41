"""Noise of single pixels."""

from collections.abc import Callable

import numpy as np

from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def random_gaussian_noise(std: ranges.Probability) -> Transform:
  """Adds independent normal noise to every value.

  Args:
    std: of the noise, where 1 is the distance from black to white.
  """

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= np.float32(255 * std)
    noise += image
    return np.rint(noise, out=noise).clip(0, 255).astype(np.uint8)

  return transform


def random_salt_and_pepper(p: ranges.Probability) -> Transform:
  """Makes a fraction `p` of the pixels black or white, half of them each."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    draws = rng.random(image.shape[:2], np.float32)
    noisy = image.copy()
    noisy[draws < p / 2] = 0
    noisy[draws >= 1 - p / 2] = 255
    return noisy

  return transform
