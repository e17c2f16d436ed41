"""Foregrounds and backgrounds of an image, after "Noise or Signal".

Xiao, Engstrom, Ilyas and Madry 2020 (arXiv 2006.09994), Table 1. An image is
(h, w, c) uint8, a foreground (h, w) bool. A box is (top, left, bottom, right)
in pixels; bottom and right are one past the last row and column.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from jaxvision.data import decoding
from jaxvision.data.transforms.host import arguments

Box = tuple[int, int, int, int]
# (rng, image, mask (h, w, 1) uint8) -> image
WithMask = Callable[
  [np.random.Generator | None, np.ndarray, np.ndarray], np.ndarray
]

# Values of a mask that are the foreground: the opaque half of an alpha channel.
LEAST, MOST = 128, 255


@dataclasses.dataclass(frozen=True)
class Masked:
  """A host transform that also needs the mask of the image.

  Attributes:
    with_mask: (rng, image, mask (h, w, 1) uint8) -> image.
  """

  with_mask: WithMask

  def __call__(
    self, rng: np.random.Generator | None, image: np.ndarray
  ) -> np.ndarray:
    raise ValueError(
      "only_fg, no_fg, only_bg_b and only_bg_t need the mask of an image, and "
      "this image has none; use data with the field segmentation_mask, or "
      "remove the transform"
    )


def foreground_of(
  mask: np.ndarray, *, least: int = LEAST, most: int = MOST
) -> np.ndarray:
  """The pixels of a mask (h, w, 1) whose value is in [least, most], (h, w).

  Raises:
    UnreadableImage: the mask has no such pixel.
  """
  values = mask[..., 0]
  found = (values >= least) & (values <= most)
  if not found.any():
    raise decoding.UnreadableImage(
      f"the mask has no value from {least} to {most}; its values are "
      f"{values.min()} to {values.max()}: choose others with least and most, "
      "or --foreground"
    )
  return found


def check_range(least: int, most: int) -> None:
  """Raises ValueError if no value is in [least, most]."""
  if least > most:
    raise ValueError(
      f"least is {least} and most is {most}; expected the values of the "
      "foreground, with least <= most"
    )


def box_of(foreground: np.ndarray) -> Box:
  """The smallest box around a foreground, which must not be empty."""
  rows = np.flatnonzero(foreground.any(axis=1))
  columns = np.flatnonzero(foreground.any(axis=0))
  ends = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
  return tuple(map(int, ends))


def largest_strip(shape: tuple[int, int], box: Box) -> Box:
  """The largest strip of an image outside of a box.

  A strip has the whole width of the image, above or below the box, or its
  whole height, left or right of it. No other rectangle outside of the box is
  larger. Of equal strips the first one in this order is taken.

  Args:
    shape: (height, width) of the image.
    box: inside the image.

  Raises:
    UnreadableImage: the box is the whole image.
  """
  height, width = shape
  top, left, bottom, right = box
  strips = (
    (0, 0, top, width),
    (bottom, 0, height, width),
    (0, 0, height, left),
    (0, right, height, width),
  )
  largest = max(strips, key=area)
  if not area(largest):
    raise decoding.UnreadableImage(
      f"the box of the foreground, {box}, is the whole image of "
      f"{height}x{width} pixels; no background is left"
    )
  return largest


def area(box: Box) -> int:
  """The number of pixels of a box."""
  top, left, bottom, right = box
  return (bottom - top) * (right - left)


def part(image: np.ndarray, box: Box) -> np.ndarray:
  """The pixels of a box, as a view."""
  top, left, bottom, right = box
  return image[top:bottom, left:right]


def black_box(image: np.ndarray, box: Box) -> np.ndarray:
  """Only-BG-B: the image with a black box."""
  changed = image.copy()
  part(changed, box)[...] = 0
  return changed


def tiled_box(image: np.ndarray, box: Box) -> np.ndarray:
  """Only-BG-T: the box shows copies of the largest strip outside of it.

  Copies of the strip tile the whole image, from its top left corner. The pixels
  of the box are taken from this tiling.

  Raises:
    UnreadableImage: as `largest_strip`.
  """
  strip = part(image, largest_strip(image.shape[:2], box))
  copies = [
    math.ceil(side / length)
    for side, length in zip(image.shape[:2], strip.shape[:2], strict=True)
  ]
  changed = image.copy()
  part(changed, box)[...] = part(np.tile(strip, (*copies, 1)), box)
  return changed


def paste(
  image: np.ndarray, foreground: np.ndarray, background: np.ndarray
) -> np.ndarray:
  """The foreground of an image over another one of the same shape."""
  return np.where(foreground[..., None], image, background)


def only_fg(
  *, least: arguments.Pixel = LEAST, most: arguments.Pixel = MOST
) -> Masked:
  """Only-FG: makes the background black.

  Args:
    least, most: the range of the values of the mask that are the foreground.
  """
  black = np.uint8(0)
  return _masked(least, most, lambda image, f: paste(image, f, black))


def no_fg(
  *, least: arguments.Pixel = LEAST, most: arguments.Pixel = MOST
) -> Masked:
  """No-FG: makes the foreground black, so its silhouette stays.

  Args:
    least, most: as of `only_fg`.
  """
  black = np.uint8(0)
  return _masked(least, most, lambda image, f: paste(black, f, image))


def only_bg_b(
  *, least: arguments.Pixel = LEAST, most: arguments.Pixel = MOST
) -> Masked:
  """Only-BG-B: makes the box of the foreground black.

  Args:
    least, most: as of `only_fg`.
  """
  return _masked(least, most, lambda image, f: black_box(image, box_of(f)))


def only_bg_t(
  *, least: arguments.Pixel = LEAST, most: arguments.Pixel = MOST
) -> Masked:
  """Only-BG-T: fills the box of the foreground with tiles of the background.

  Args:
    least, most: as of `only_fg`.
  """
  return _masked(least, most, lambda image, f: tiled_box(image, box_of(f)))


def _masked(
  least: int, most: int, change: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Masked:
  check_range(least, most)

  def transform(
    rng: np.random.Generator | None, image: np.ndarray, mask: np.ndarray
  ) -> np.ndarray:
    del rng
    return change(image, foreground_of(mask, least=least, most=most))

  return Masked(transform)
