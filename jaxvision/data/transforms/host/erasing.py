"""Erasing of image regions."""

from collections.abc import Callable

import numpy as np

from jaxvision.data.transforms.host import arguments

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def random_cutout(
  size: arguments.Length, *, fill: arguments.Fill = 0
) -> Transform:
  """Fills a square with a random centre pixel (DeVries and Taylor 2017).

  Args:
    size: side of the square in pixels; it is cropped at the image border.
    fill: the colour.
  """

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    centers = rng.integers(image.shape[:2])
    starts = centers - size // 2
    rows, columns = (
      slice(max(start, 0), max(start + size, 0)) for start in starts
    )
    erased = image.copy()
    erased[rows, columns] = arguments.fill_of_channels(fill, image.shape[2])
    return erased

  return transform
