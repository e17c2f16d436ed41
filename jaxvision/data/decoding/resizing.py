"""Resizing images and parts of them, by method.

"nearest", "bilinear", "bicubic" and "area" are OpenCV's, of which only "area"
avoids aliasing when an image becomes smaller; the first three sample as
tf.image.resize does by default. "bilinear_antialiased" and
"bicubic_antialiased" are Pillow's, with which most published PyTorch weights
were trained; 3 times slower.

What shows a part of an image in another size is a `Resampling`. As it says
beforehand which part, a decoder can leave out the rest of a file, and decode
what shrinks at a half, quarter or eighth of its size: see image.py.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from jaxvision import lookup
from jaxvision.data.decoding import unreadable

OPENCV = {
  "nearest": "INTER_NEAREST_EXACT",
  "bilinear": "INTER_LINEAR",
  "bicubic": "INTER_CUBIC",
  "area": "INTER_AREA",
}
PILLOW = {"bilinear_antialiased": "BILINEAR", "bicubic_antialiased": "BICUBIC"}
# Methods before which an image may be reduced. The others promise pixels:
# some of the image's, or exactly Pillow's.
_AFTER_REDUCTION = ("bilinear", "bicubic", "area")


@dataclasses.dataclass(frozen=True)
class Region:
  """A part of an image, and the size that it gets.

  Attributes:
    top, left, height, width: of the part, in pixels of the image.
    size: (height, width) of the result.
  """

  top: int
  left: int
  height: int
  width: int
  size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Resampling:
  """A transform that shows a part of an image in another size.

  Attributes:
    region: (rng, (height, width) of an image) -> the part of it.
    method: of resizing.
  """

  region: Callable[[np.random.Generator | None, tuple[int, int]], Region]
  method: str = "bilinear"

  def __post_init__(self) -> None:
    make_resizer(self.method)

  def __call__(
    self, rng: np.random.Generator | None, image: np.ndarray
  ) -> np.ndarray:
    region = self.region(rng, image.shape[:2])
    return resample(image, region, method=self.method)


def reduction(region: Region, *, method: str) -> int:
  """By which of 8, 4, 2 or 1 an image may be divided before it is resampled.

  What is left of the part is not smaller than the result in either direction.
  """
  if method not in _AFTER_REDUCTION:
    return 1
  height, width = region.size
  factor = min(region.height / height, region.width / width)
  return next(number for number in (8, 4, 2, 1) if number <= max(1, factor))


def resample(
  image: np.ndarray, region: Region, *, method: str, divisor: int = 1
) -> np.ndarray:
  """Shows a part of an image in another size.

  Args:
    image: (h, w, c) uint8; at least the upper left of the whole image.
    region: the part, in pixels of the whole image.
    method: of resizing.
    divisor: by which the image is smaller than the region supposes. The part
      then grows to whole pixels: each edge by less than one of the image.

  Raises:
    UnreadableImage: the result would have more than 250 million pixels, as that
      of "resize_small" has where an image is long and thin.
  """
  rows, columns = (
    slice(start // divisor, -(-(start + length) // divisor))
    for start, length in (
      (region.top, region.height),
      (region.left, region.width),
    )
  )
  if math.prod(region.size) > unreadable.MAX_PIXELS:
    height, width = region.size
    raise unreadable.UnreadableImage(
      f"a part of {region.height}x{region.width} pixels would become one of "
      f"{height}x{width}, more than {unreadable.MAX_PIXELS:,}; cut an image so "
      "long and thin, or resize it to a fixed size"
    )
  return make_resizer(method)(image[rows, columns], *region.size)


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
  raise ValueError(lookup.unknown("method", str(method), known))


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

  resampling = Image.Resampling[filter_name]
  if image.shape[2] == 3:
    resized = Image.fromarray(image).resize((width, height), resampling)
    return np.asarray(resized)
  # One channel after the other: Pillow knows no image of, say, 5 channels.
  planes = [Image.fromarray(plane) for plane in np.moveaxis(image, 2, 0)]
  return np.stack([p.resize((width, height), resampling) for p in planes], 2)
