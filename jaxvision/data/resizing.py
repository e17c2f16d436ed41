"""Resizing images, by method.

"nearest", "bilinear", "bicubic" and "area" are OpenCV's, of which only "area"
avoids aliasing when an image becomes smaller; the first three sample as
tf.image.resize does by default. "bilinear_antialiased" and
"bicubic_antialiased" are Pillow's, with which most published PyTorch weights
were trained; 3 times slower.
"""

from collections.abc import Callable

import numpy as np

from jaxvision import spelling

OPENCV = {
  "nearest": "INTER_NEAREST_EXACT",
  "bilinear": "INTER_LINEAR",
  "bicubic": "INTER_CUBIC",
  "area": "INTER_AREA",
}
PILLOW = {"bilinear_antialiased": "BILINEAR", "bicubic_antialiased": "BICUBIC"}


def make_resizer(method: str) -> Callable[[np.ndarray, int, int], np.ndarray]:
  """Returns (image (h, w, c) uint8, height, width) -> resized image.

  Raises:
    ValueError: an unknown method.
  """
  if method in OPENCV:
    return lambda *arguments: _resize_opencv(*arguments, OPENCV[method])
  if method in PILLOW:
    return lambda *arguments: _resize_pillow(*arguments, PILLOW[method])
  known = [*OPENCV, *PILLOW]
  raise ValueError(spelling.unknown("method", str(method), known))


def _resize_opencv(
  image: np.ndarray, height: int, width: int, flag: str
) -> np.ndarray:
  import cv2

  if image.shape[:2] == (height, width):
    return image
  resized = cv2.resize(image, (width, height), interpolation=getattr(cv2, flag))
  return resized.reshape(height, width, image.shape[2])


def _resize_pillow(
  image: np.ndarray, height: int, width: int, filter_name: str
) -> np.ndarray:
  from PIL import Image

  # One channel after the other: Pillow knows no image of, say, 5 channels.
  planes = [Image.fromarray(plane) for plane in np.moveaxis(image, 2, 0)]
  resampling = Image.Resampling[filter_name]
  return np.stack([p.resize((width, height), resampling) for p in planes], 2)
