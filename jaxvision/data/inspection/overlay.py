"""Pictures of masks on their images."""

import colorsys

import numpy as np

_STRENGTH = 0.4  # of the colour, where a mask is 255 or the number of a class
_CLASSES = 32  # a mask of more values is a share of 255, such as an alpha
_RATIO = 0.618034  # neighbouring numbers get hues that differ


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Tints an image where its mask is not 0.

  Args:
    image: (h, w, c) uint8 of 1 or 3 channels.
    mask: (h, w, 1) uint8: numbers of classes, or shares of 255.

  Returns:
    (h, w, 3) uint8.
  """
  image = np.broadcast_to(image, (*image.shape[:2], 3))
  values = np.unique(mask)
  numbers = len(values) <= _CLASSES and set(values.tolist()) != {0, 255}
  colours = np.zeros((256, 4))
  for value in range(1, 256):
    hue = value * _RATIO % 1 if numbers else 0.0
    share = 1.0 if numbers else value / 255
    colours[value] = *colorsys.hsv_to_rgb(hue, 1, 255), share * _STRENGTH
  tint = colours[mask[..., 0]]
  share = tint[..., 3:]
  return np.rint(image * (1 - share) + tint[..., :3] * share).astype(np.uint8)
