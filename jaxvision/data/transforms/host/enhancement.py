"""Brightness, contrast, saturation and sharpness, by a factor.

A factor of 1 changes nothing. A factor of 0 removes the property (the image
becomes black, a uniform grey, grey, or blurred). A factor above 1 enhances it:
`without + factor * (image - without)`. The results equal those of Pillow's
ImageEnhance, except for the rounding of grey.
"""

from collections.abc import Callable

import numpy as np

from jaxvision.data.transforms.host import arguments, color

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

# Pillow truncates, but OpenCV rounds. Not -0.5: integers must stay unchanged.
_CUT = -0.499
_SMOOTH = np.array(((1, 1, 1), (1, 5, 1), (1, 1, 1)), np.float32) / 13


def brightness(factor: arguments.Factor) -> Transform:
  """Blends with black."""
  return lambda rng, image: _enhanced_evenly(image, 0, factor)


def contrast(factor: arguments.Factor) -> Transform:
  """Blends with the mean grey of the image."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    mean = int(cv2.mean(color.to_grey(image))[0] + 0.5)
    return _enhanced_evenly(image, mean, factor)

  return transform


def saturation(factor: arguments.Factor) -> Transform:
  """Blends with the grey image; grey images stay unchanged."""
  grey = color.grayscale()

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 1:
      return image
    return _enhanced(image, grey(rng, image), factor)

  return transform


def sharpness(factor: arguments.Factor) -> Transform:
  """Blends with a blurred image."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    smooth = cv2.filter2D(image, -1, _SMOOTH).reshape(image.shape)
    # Pillow does not smooth pixels at the edges.
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
      smooth[edge] = image[edge]
    return _enhanced(image, smooth, factor)

  return transform


def _enhanced(
  image: np.ndarray, without: np.ndarray, factor: float
) -> np.ndarray:
  import cv2

  blended = cv2.addWeighted(image, factor, without, 1 - factor, _CUT)
  return blended.reshape(image.shape)


def _enhanced_evenly(
  image: np.ndarray, without: int, factor: float
) -> np.ndarray:
  """Blends with a uniform image, by a lookup table."""
  import cv2

  values = np.arange(256, dtype=np.float32)
  table = without + np.float32(factor) * (values - without)
  return cv2.LUT(image, table.clip(0, 255).astype(np.uint8)).reshape(
    image.shape
  )
