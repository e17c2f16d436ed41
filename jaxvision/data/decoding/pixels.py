"""Conversion of pixels of any depth and colour to 8 bits of RGB or grey.

Grey is the luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B of the stored
values. It is computed in the integer arithmetic of Pillow's mode "L".
"""

import numpy as np

from jaxvision.data.decoding import orientation as orientations


def to_8_bits(image: np.ndarray, *, most: int = 65535) -> np.ndarray:
  """Scales 0..most to 0..255, rounded; bytes stay unchanged."""
  if image.dtype == np.uint8:
    return image
  wide = image.astype(np.uint32)
  return ((wide * 255 + most // 2) // most).clip(0, 255).astype(np.uint8)


def luma(image: np.ndarray) -> np.ndarray:
  """Converts (h, w, 3) uint8 to (h, w) uint8."""
  from PIL import Image

  return np.asarray(Image.fromarray(image).convert("L"))


def finish(image: np.ndarray, *, channels: int, orientation: int) -> np.ndarray:
  """Applies the orientation and converts to the requested channels.

  Args:
    image: (h, w) or (h, w, 3) uint8.
    channels: 3 or 1. For 3, the image must already be RGB.
    orientation: 1 to 8.

  Returns:
    (h, w, channels) uint8.
  """
  if channels == 1 and image.ndim == 3:
    image = luma(image)
  image = orientations.upright(image, orientation)
  return image.reshape(*image.shape[:2], channels)
