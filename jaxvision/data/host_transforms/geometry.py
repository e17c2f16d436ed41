"""Crops, resizes and flips on the host; see resizing.py for the methods."""

import math
from collections.abc import Callable

import numpy as np

from jaxvision.data import resizing

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]

# The scale and aspect ratios of Inception training (Szegedy et al. 2015,
# section 6: "8% to 100% of the image area", ratio in [3/4, 4/3]).
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
_ATTEMPTS = 10  # of finding a crop inside the image, as torchvision does


def resize(
  size: int | tuple[int, int], *, method: str = "bilinear"
) -> Transform:
  """To exactly `size`: (height, width), or the side of a square."""
  height, width = _pair(size)
  resized = resizing.make_resizer(method)
  return lambda rng, image: resized(image, height, width)


def resize_small(size: int, *, method: str = "bilinear") -> Transform:
  """To `size` pixels on the shorter side, keeping the aspect ratio."""
  smaller, _ = _pair(size)
  resized = resizing.make_resizer(method)

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = smaller / min(height, width)
    return resized(image, round(height * scale), round(width * scale))

  return transform


def center_crop(size: int | tuple[int, int]) -> Transform:
  """The middle `size`: (height, width), or the side of a square."""
  height, width = _pair(size)

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    top, left = (room // 2 for room in _room(image, height, width))
    return image[top : top + height, left : left + width]

  return transform


def random_crop(size: int | tuple[int, int]) -> Transform:
  """A `size` somewhere in the image, all places being equally likely."""
  height, width = _pair(size)

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    top, left = rng.integers(_room(image, height, width), endpoint=True)
    return image[top : top + height, left : left + width]

  return transform


def _room(image: np.ndarray, height: int, width: int) -> tuple[int, int]:
  """By how much an image is higher and wider than a crop."""
  room = image.shape[0] - height, image.shape[1] - width
  if min(room) < 0:
    raise ValueError(
      f"a crop of {height}x{width} of an image of {image.shape[0]}x"
      f"{image.shape[1]} pixels is not possible; put "
      f'"resize_small({max(height, width)})" before it'
    )
  return room


def random_resized_crop(
  size: int | tuple[int, int],
  *,
  area: tuple[float, float] = _AREA,
  ratio: tuple[float, float] = _RATIO,
  method: str = "bilinear",
) -> Transform:
  """A random part of the image, resized (Szegedy et al. 2015).

  Args:
    size: (height, width) of the result, or the side of a square.
    area: smallest and largest share of the image, drawn uniformly.
    ratio: smallest and largest width / height, drawn uniformly in the log.
    method: of resizing.
  """
  height, width = _pair(size)
  resized = resizing.make_resizer(method)
  for name, (low, high) in (("area", area), ("ratio", ratio)):
    if not 0 < low <= high:
      raise ValueError(f"{name} is {(low, high)}; it must be 0 < low <= high")

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    box = _random_box(rng, image.shape[:2], area, ratio)
    return resized(image[box], height, width)

  return transform


def random_flip(*, p: float = 0.5) -> Transform:
  """Left to right, with probability `p`."""
  if not 0 <= p <= 1:
    raise ValueError(f"p is {p}; a probability lies in [0, 1]")

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    if rng.random() >= p:
      return image
    return cv2.flip(image, 1).reshape(image.shape)

  return transform


def _random_box(
  rng: np.random.Generator,
  shape: tuple[int, int],
  area: tuple[float, float],
  ratio: tuple[float, float],
) -> tuple[slice, slice]:
  """Rows and columns of the crop; the largest central one if none fits."""
  height, width = shape
  for _ in range(_ATTEMPTS):
    pixels = height * width * rng.uniform(*area)
    aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    rows = round(math.sqrt(pixels / aspect))
    columns = round(math.sqrt(pixels * aspect))
    if 0 < rows <= height and 0 < columns <= width:
      top = int(rng.integers(height - rows + 1))
      left = int(rng.integers(width - columns + 1))
      return slice(top, top + rows), slice(left, left + columns)
  aspect = min(max(width / height, ratio[0]), ratio[1])
  rows = max(1, min(height, round(width / aspect)))
  columns = max(1, min(width, round(height * aspect)))
  top, left = (height - rows) // 2, (width - columns) // 2
  return slice(top, top + rows), slice(left, left + columns)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
  pair = size if isinstance(size, tuple) else (size, size)
  if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):
    raise ValueError(
      f"size is {size!r}; it must be a positive number of pixels, or a pair "
      "(height, width)"
    )
  return pair
