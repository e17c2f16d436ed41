"""Pixels of any depth and colour as 8 bits of RGB or grey.

Grey is the luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B of the values as
they are stored: in Pillow's whole numbers, whose "L" it is.
"""

import numpy as np

from jaxvision.data.decoding import orientation as lying


def to_8_bits(image: np.ndarray, *, most: int = 65535) -> np.ndarray:
  """Maps 0..most to 0..255, rounded; bytes stay as they are."""
  if image.dtype == np.uint8:
    return image
  wide = image.astype(np.uint32)
  return ((wide * 255 + most // 2) // most).clip(0, 255).astype(np.uint8)


def luma(image: np.ndarray) -> np.ndarray:
  """(h, w, 3) uint8 as (h, w) uint8."""
  from PIL import Image

  return np.asarray(Image.fromarray(image).convert("L"))


def finish(image: np.ndarray, *, channels: int, orientation: int) -> np.ndarray:
  """Upright pixels of the channels that are asked for.

  Args:
    image: (h, w) or (h, w, 3) uint8.
    channels: 3 or 1; grey has been made RGB where it is 3.
    orientation: 1 to 8.

  Returns:
    (h, w, channels) uint8.
  """
  if channels == 1 and image.ndim == 3:
    image = luma(image)
  image = lying.upright(image, orientation)
  return image.reshape(*image.shape[:2], channels)
