"""How the positions of a file lie on a grid of patches.

A table of learned positions has a row for each patch, row by row, and with a
class token often one before them. It does not say how many rows and columns
the patches have: 64 patches are 8x8 or 4x16, and 169 rows are 13x13 patches or
12x14 and the class token. What is stated decides: the size of the images that
the file is for, or that it is loaded for, if the table fits it as it is. Then
squares are meant, as long as that is beyond doubt.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence

_LOGGER = logging.getLogger(__name__)

Grid = tuple[int, int]
# With a class token a table is one of these; which, the keys do not tell.
UNDECIDED = "learned or learned_patches"


@dataclasses.dataclass(frozen=True)
class Stated:
  """What is known beside the table; None is not known.

  Attributes:
    own: rows and columns of the patches of the file.
    wanted: of those it is loaded for.
    usual: sides of the square grids that files of this model have.
  """

  own: Grid | None
  wanted: Grid | None
  usual: Sequence[int]


def kind(
  count: int, *, patches_alone: bool, stated: Stated, source: str
) -> str:
  """Returns whether the class token has a position: "learned" if it has.

  Args:
    count: rows of the table, beside which there is a class token.
    patches_alone: whether files of this kind have no position for the token.
    stated: what else is known.
    source: what to call the file.

  Raises:
    ValueError: nothing decides.
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
  # A square is a x (a + 2) patches and the class token, too.
  other = f"{count} patches" + (
    f" ({math.isqrt(count)}x{math.isqrt(count)})" if _square(count) else ""
  )
  raise ValueError(
    f"{source} has {count} positions beside a class token, and nothing decides "
    f"whether they are of {other}, or of {count - 1} and the token: say "
    "native_size=(height, width), the size of the images that the file is for; "
    "or that as image_size (--image_size HxW) if it is loaded for the same; or "
    "positions='learned' (the token has a position) or 'learned_patches'"
  )


def rows_and_columns(patches: int, *, stated: Stated, source: str) -> Grid:
  """Returns the grid of so many patches of a file.

  Raises:
    ValueError: nothing decides, or what is stated does not fit.
  """
  if stated.own is not None:
    if not _is(patches, stated.own):
      raise ValueError(
        f"{source} has the positions of {patches} patches, and its "
        f"native_size would have {stated.own[0]}x{stated.own[1]}"
      )
    return stated.own
  wanted, side = stated.wanted, math.isqrt(patches)
  if wanted is not None and _is(patches, wanted):
    return wanted
  if _square(patches) and side in stated.usual:
    return side, side
  if _square(patches) and (wanted is None or wanted[0] == wanted[1]):
    _LOGGER.warning(
      "%s: its %d patches are taken as %dx%d; if they are of another grid, say "
      "native_size=(height, width), the size of the images it is for, or that "
      "as image_size",
      *(source, patches, side, side),
    )
    return side, side
  to = f" to {wanted[0]}x{wanted[1]}" if wanted else ""
  raise ValueError(
    f"{source} has the positions of {patches} patches, and nothing decides in "
    f"how many rows and columns: say native_size=(height, width), the size of "
    f"the images that the file is for; then they can be resized{to}"
  )


def _is(patches: int, grid: Grid) -> bool:
  return patches == grid[0] * grid[1]


def _square(count: int) -> bool:
  return count > 0 and math.isqrt(count) ** 2 == count
