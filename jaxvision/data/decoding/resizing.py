"""Resizing of images and image regions, by method.

"nearest", "bilinear", "bicubic" and "area" are OpenCV's methods. Only "area"
avoids aliasing when an image becomes smaller; the first three sample like
tf.image.resize by default. "bilinear_antialiased" and "bicubic_antialiased" are
Pillow's methods, with which most published PyTorch weights were trained. They
are 3 times slower.

A `Resampling` resizes a region of an image. It computes the region before
decoding, so a decoder can skip the rest of a file and decode at a half, quarter
or eighth of the size: see jpeg.py.
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
# Methods that allow decoding at a reduced size. The others promise exact
# pixels: original ones ("nearest"), or Pillow's.
_AFTER_REDUCTION = ("bilinear", "bicubic", "area")


@dataclasses.dataclass(frozen=True)
class Region:
  """A region of an image and its size after resizing.

  Attributes:
    top, left, height, width: of the region, in pixels of the image.
    size: (height, width) of the result.
  """

  top: int
  left: int
  height: int
  width: int
  size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Resampling:
  """A transform that crops a region of an image and resizes it.

  Attributes:
    region: (rng, (height, width) of an image) -> the region.
    method: the resizing method.
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
  """The divisor, 8, 4, 2 or 1, for decoding an image before resizing.

  The divided region is not smaller than the result in either direction.
  """
  if method not in _AFTER_REDUCTION:
    return 1
  height, width = region.size
  factor = min(region.height / height, region.width / width)
  return next(number for number in (8, 4, 2, 1) if number <= max(1, factor))


def resample(
  image: np.ndarray, region: Region, *, method: str, divisor: int = 1
) -> np.ndarray:
  """Crops a region of an image and resizes it.

  Args:
    image: (h, w, c) uint8; at least the upper left part of the image.
    region: in pixels of the undivided image.
    method: the resizing method.
    divisor: the factor by which `image` is smaller than the undivided image.
      The region is then extended to full pixels: each edge by less than one
      pixel of `image`.

  Raises:
    UnreadableImage: the result would have more than 250 million pixels, such as
      the result of "resize_small" for a long and thin image.
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
      f"a region of {region.height}x{region.width} pixels would be resized to "
      f"{height}x{width}, more than {unreadable.MAX_PIXELS:,} pixels; crop "
      "this long and thin image, or resize it to a fixed size"
    )
  return make_resizer(method)(image[rows, columns], *region.size)


def make_resizer(method: str) -> Callable[[np.ndarray, int, int], np.ndarray]:
  """Returns (image (h, w, c) uint8, height, width) -> resized image.

  Raises:
    ValueError: the method is unknown.
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
  # Each channel separately: Pillow has no images of, for example, 5 channels.
  planes = [Image.fromarray(plane) for plane in np.moveaxis(image, 2, 0)]
  return np.stack([p.resize((width, height), resampling) for p in planes], 2)
