"""Grids of patches of the learned positions in a file.

A table of learned positions has one row per patch, row by row; with a class
token it often has one more row before them. It does not contain the numbers of
rows and columns of patches: 64 patches are 8x8 or 4x16, and 169 rows are 13x13
patches, or 12x14 patches and the class token. A stated image size decides: the
size of the file, or the size that it is loaded for, if the table fits without
resizing. Otherwise the grid is a square, if that is unambiguous.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence

_LOGGER = logging.getLogger(__name__)

Grid = tuple[int, int]
# With a class token both kinds are possible, and the keys do not decide.
UNDECIDED = "learned or learned_patches"


@dataclasses.dataclass(frozen=True)
class Stated:
  """Known grids (rows, columns); None if unknown.

  Attributes:
    own: grid of the file.
    wanted: grid of the images that it is loaded for.
    usual: sides of the square grids of published files of this model.
  """

  own: Grid | None
  wanted: Grid | None
  usual: Sequence[int]


def kind(
  count: int, *, patches_alone: bool, stated: Stated, source: str
) -> str:
  """Returns "learned" if the class token has a position, or "learned_patches".

  Args:
    count: number of rows of the table, in a model with a class token.
    patches_alone: whether files of this kind have no position for the token.
    stated: known grids.
    source: name of the file, for messages.

  Raises:
    ValueError: the kind is ambiguous.
  """
  patches = {"learned": count - 1, "learned_patches": count}
  for grid in (stated.own, stated.wanted):
    fitting = [each for each in patches if grid and _is(patches[each], grid)]
    if fitting:
      return fitting[0]
  if patches_alone and _square(count):
    return "learned_patches"
  if _square(count - 1):
    return "learned"
  # A square number can also be a x (a + 2) patches and the class token.
  other = f"{count} patches" + (
    f" ({math.isqrt(count)}x{math.isqrt(count)})" if _square(count) else ""
  )
  raise ValueError(
    f"{source} has {count} positions and a class token, so the positions can "
    f"be those of {other}, or of {count - 1} patches and the token: give "
    "native_size=(height, width), the image size of the file; or give it as "
    "image_size (--image_size HxW) if it is loaded for this size; or give "
    "positions='learned' (the token has a position) or 'learned_patches'"
  )


def rows_and_columns(patches: int, *, stated: Stated, source: str) -> Grid:
  """Returns the grid (rows, columns) of the patches of a file.

  Raises:
    ValueError: the grid is ambiguous, or the stated size does not fit.
  """
  if stated.own is not None:
    if not _is(patches, stated.own):
      raise ValueError(
        f"{source} has the positions of {patches} patches, but its native_size "
        f"needs {stated.own[0]}x{stated.own[1]}; correct native_size"
      )
    return stated.own
  wanted, side = stated.wanted, math.isqrt(patches)
  if wanted is not None and _is(patches, wanted):
    return wanted
  if _square(patches) and side in stated.usual:
    return side, side
  if _square(patches) and (wanted is None or wanted[0] == wanted[1]):
    _LOGGER.warning(
      "%s: its %d patches are used as a grid of %dx%d; for another grid give "
      "native_size=(height, width), the image size of the file, or give it as "
      "image_size",
      *(source, patches, side, side),
    )
    return side, side
  to = f" to {wanted[0]}x{wanted[1]}" if wanted else ""
  raise ValueError(
    f"{source} has the positions of {patches} patches, but the numbers of rows "
    f"and columns are unknown: give native_size=(height, width), the image "
    f"size of the file, so that they can be resized{to}"
  )


def _is(patches: int, grid: Grid) -> bool:
  return patches == grid[0] * grid[1]


def _square(count: int) -> bool:
  return count > 0 and math.isqrt(count) ** 2 == count
