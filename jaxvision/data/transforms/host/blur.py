"""Gaussian blur."""

from collections.abc import Callable

import numpy as np

from jaxvision.data.transforms.host import arguments

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def gaussian_blur(sigma: arguments.Sigma) -> Transform:
  """Blurs with a standard deviation of `sigma` pixels."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)

  return transform


def random_gaussian_blur(
  sigma: tuple[arguments.Sigma, arguments.Sigma] = (0.1, 2.0),
) -> Transform:
  """Blurs with a sigma, in pixels, that is uniform between two values."""
  low, high = sigma
  if not 0 < low <= high:
    raise ValueError(f"sigma is {sigma}; it must be 0 < low <= high")

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return gaussian_blur(rng.uniform(low, high))(rng, image)

  return transform
