"""Maps of single pixel values, such as posterize, solarize and equalize.

Each channel is mapped separately by a table of its 256 possible values. The
results are identical to those of Pillow's ImageOps.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from jaxvision.data.transforms.host import arguments
from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def invert() -> Transform:
  """Inverts values: black becomes white, and white becomes black."""
  return _mapped(np.arange(255, -1, -1))


def posterize(bits: Annotated[int, ranges.Range(0, 8)]) -> Transform:
  """Keeps the `bits` highest of the 8 bits of each value; 0 gives black."""
  return _mapped(np.arange(256) & (0xFF << (8 - bits)))


def solarize(threshold: arguments.Level = 128) -> Transform:
  """Inverts values from `threshold` on; 256 changes nothing."""
  values = np.arange(256)
  return _mapped(np.where(values < threshold, values, 255 - values))


def solarize_add(
  addition: Annotated[int, ranges.Range(0, 256)],
  *,
  threshold: arguments.Level = 128,
) -> Transform:
  """Adds `addition` to values below `threshold`; the maximum is white."""
  values = np.arange(256)
  added = np.minimum(values + int(addition), 255)
  return _mapped(np.where(values < threshold, added, values))


def auto_contrast() -> Transform:
  """Stretches the values of each channel to the range from black to white."""
  return _mapped_by_channel(_stretching)


def equalize() -> Transform:
  """Maps each channel so that all values are about equally frequent."""
  return _mapped_by_channel(_equalizing)


def _mapped(table: np.ndarray) -> Transform:
  values = table.astype(np.uint8)

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.LUT(image, values).reshape(image.shape)

  return transform


def _mapped_by_channel(
  make_table: Callable[[np.ndarray], np.ndarray],
) -> Transform:
  """Maps each channel by a table that is computed from the channel."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    planes = [
      cv2.LUT(plane, make_table(plane).astype(np.uint8))
      for plane in cv2.split(image)
    ]
    return cv2.merge(planes).reshape(image.shape)

  return transform


def _stretching(plane: np.ndarray) -> np.ndarray:
  import cv2

  low, high, _, _ = cv2.minMaxLoc(plane)
  values = np.arange(256)
  if low == high:
    return values
  scale = 255 / (high - low)
  return (values * scale - low * scale).clip(0, 255).astype(int)


def _equalizing(plane: np.ndarray) -> np.ndarray:
  import cv2

  counts = cv2.calcHist([plane], [0], None, [256], [0, 256])
  counts = counts.ravel().astype(int)
  step = (counts.sum() - counts[counts > 0][-1]) // 255
  if step == 0:
    return np.arange(256)
  below = np.cumsum(counts) - counts
  return np.minimum((below + step // 2) // step, 255)
