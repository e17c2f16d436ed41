"""Crops, resizes and flips on the host; for methods see decoding/resizing.py.

Crops and resizes are both a `Resampling`: a region of the image in another
size. As the first transform of a chain, the decoder can do a part of their
work.
"""

import math
from collections.abc import Callable

import numpy as np

from jaxvision import lookup
from jaxvision.data.decoding import resizing
from jaxvision.data.transforms.host import arguments
from jaxvision.data.transforms.host import padding as margins
from jaxvision.lookup import ranges

Transform = Callable[[np.random.Generator, np.ndarray], np.ndarray]
Pair = tuple[int, int]

# The scale and aspect ratios of Inception training (Szegedy et al. 2015,
# section 6: "8% to 100% of the image area", ratio in [3/4, 4/3]).
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
_ATTEMPTS = 10  # attempts to find a crop inside the image, as in torchvision


def resize(
  size: arguments.Side | arguments.Pair, *, method: str = "bilinear"
) -> Transform:
  """Resizes to exactly `size`: (height, width), or the side of a square."""
  pair = _pair(size)
  return resizing.Resampling(
    lambda rng, shape: resizing.Region(0, 0, *shape, size=pair), method
  )


def resize_small(
  size: arguments.Side | arguments.Pair,
  *,
  method: str = "bilinear",
  rounding: str = "nearest",
) -> Transform:
  """Resizes the shorter side to `size` pixels and keeps the aspect ratio.

  Args:
    size: of the shorter side; or (height, width): the result has at least this
      size, and exactly this size in one direction.
    method: of resizing.
    rounding: of the longer side: "nearest", or "down" as in torchvision.
  """
  pair = _pair(size)
  other = _choice(rounding, nearest=_nearest, down=_down)

  def region(rng: np.random.Generator, shape: Pair) -> resizing.Region:
    height, width = shape
    if pair[0] * width >= pair[1] * height:
      resized = pair[0], other(pair[0], width, height)
    else:
      resized = other(pair[1], height, width), pair[1]
    return resizing.Region(0, 0, *shape, size=resized)

  return resizing.Resampling(region, method)


def center_crop(
  size: arguments.Side | arguments.Pair, *, rounding: str = "down"
) -> Transform:
  """Crops the centre to `size`: (height, width), or the side of a square.

  Args:
    size: in pixels.
    rounding: of half a pixel at the upper left: "down", or "even" (to the even
      number) as in torchvision.
  """
  pair = _pair(size)
  whole = _choice(rounding, down=int, even=round)

  def region(rng: np.random.Generator, shape: Pair) -> resizing.Region:
    top, left = (whole(room / 2) for room in _room(shape, pair))
    return resizing.Region(top, left, *pair, size=pair)

  return resizing.Resampling(region)


def _nearest(size: int, longer: int, shorter: int) -> int:
  return round(longer * (size / shorter))


def _down(size: int, longer: int, shorter: int) -> int:
  return int(size * longer / shorter)


def _choice(name: str, **choices: Callable) -> Callable:
  if name not in choices:
    raise ValueError(lookup.unknown("rounding", str(name), choices))
  return choices[name]


def random_crop(
  size: arguments.Side | arguments.Pair,
  *,
  padding: arguments.Length = 0,
  mode: str = "edge",
  fill: arguments.Fill = 0,
) -> Transform:
  """Crops `size` at a position that is uniform in the image.

  Args:
    size: (height, width), or the side of a square.
    padding, mode, fill: padding of the image before the crop, see
      `padding.pad`.
  """
  pair = _pair(size)
  padded = margins.pad(padding, mode=mode, fill=fill)

  def region(rng: np.random.Generator, shape: Pair) -> resizing.Region:
    top, left = rng.integers(_room(shape, pair), endpoint=True).tolist()
    return resizing.Region(top, left, *pair, size=pair)

  crop = resizing.Resampling(region)
  return (lambda rng, image: crop(rng, padded(rng, image))) if padding else crop


def _room(shape: Pair, size: Pair) -> Pair:
  """The differences in height and width between an image and a crop."""
  room = shape[0] - size[0], shape[1] - size[1]
  if min(room) < 0:
    raise ValueError(
      f"a crop of {size[0]}x{size[1]} exceeds an image of "
      f'{shape[0]}x{shape[1]} pixels; add "resize_small({max(size)})" before it'
    )
  return room


def random_resized_crop(
  size: arguments.Side | arguments.Pair,
  *,
  area: tuple[ranges.Positive, ranges.Positive] = _AREA,
  ratio: tuple[ranges.Positive, ranges.Positive] = _RATIO,
  method: str = "bilinear",
) -> Transform:
  """Crops a random region and resizes it (Szegedy et al. 2015).

  Args:
    size: (height, width) of the result, or the side of a square.
    area: minimum and maximum fraction of the image area, drawn uniformly.
    ratio: minimum and maximum width / height, drawn uniformly in the logarithm.
    method: of resizing.
  """
  pair = _pair(size)
  for name, (low, high) in (("area", area), ("ratio", ratio)):
    if not 0 < low <= high:
      raise ValueError(f"{name} is {(low, high)}; it must be 0 < low <= high")

  def region(rng: np.random.Generator, shape: Pair) -> resizing.Region:
    box = random_box(rng, shape, area, ratio)
    return resizing.Region(*box, size=pair)

  return resizing.Resampling(region, method)


def random_flip(*, p: ranges.Probability = 0.5) -> Transform:
  """Flips left to right with probability `p`."""

  def transform(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    import cv2

    if rng.random() >= p:
      return image
    return cv2.flip(image, 1).reshape(image.shape)

  return transform


def random_box(
  rng: np.random.Generator,
  shape: Pair,
  area: tuple[ranges.Positive, ranges.Positive],
  ratio: tuple[ranges.Positive, ranges.Positive],
) -> tuple[int, int, int, int]:
  """Top, left, height, width; the largest central crop if no attempt fits."""
  height, width = shape
  for _ in range(_ATTEMPTS):
    pixels = height * width * rng.uniform(*area)
    aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    rows = round(math.sqrt(pixels / aspect))
    columns = round(math.sqrt(pixels * aspect))
    if 0 < rows <= height and 0 < columns <= width:
      top = int(rng.integers(height - rows + 1))
      left = int(rng.integers(width - columns + 1))
      return top, left, rows, columns
  aspect = min(max(width / height, ratio[0]), ratio[1])
  rows = max(1, min(height, round(width / aspect)))
  columns = max(1, min(width, round(height * aspect)))
  return (height - rows) // 2, (width - columns) // 2, rows, columns


def _pair(size: arguments.Side | arguments.Pair) -> Pair:
  return size if isinstance(size, tuple) else (size, size)
