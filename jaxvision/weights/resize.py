"""Positions and patches of one size made into those of another."""

import numpy as np

from jaxvision import lookup

METHODS = ("align_corners", "bilinear", "nearest")


def positions(
  table: np.ndarray,
  *,
  grid: tuple[int, int],
  new_grid: tuple[int, int],
  method: str = "align_corners",
) -> np.ndarray:
  """Returns learned positions for another number of patches.

  Args:
    table: (1, n, width): a row per patch, row by row, and before them those of
      the class token, if any, which stays as it is.
    grid: rows and columns of the patches of the table.
    new_grid: rows and columns wanted.
    method: "align_corners" (bilinear, corners on corners, as the papers do
      it), "bilinear" (pixels as areas, as torch and jax.image do it) or
      "nearest".

  Raises:
    ValueError: no such method, or the table has fewer rows than the grid.
  """
  before = table.shape[1] - grid[0] * grid[1]
  if before < 0:
    raise ValueError(
      f"{table.shape[1]} positions are no grid of {grid[0]}x{grid[1]} patches"
    )
  patches = table[0, before:].astype(np.float32)
  patches = patches.reshape(*grid, table.shape[-1])
  rows = matrix(grid[0], new_grid[0], method=method)
  columns = matrix(grid[1], new_grid[1], method=method)
  patches = np.einsum("ij,jlc->ilc", rows, patches)
  patches = np.einsum("kl,ilc->ikc", columns, patches)
  flat = patches.reshape(1, -1, table.shape[-1])
  return np.concatenate([table[:, :before].astype(np.float32), flat], axis=1)


def matrix(size: int, new_size: int, *, method: str) -> np.ndarray:
  """Returns what interpolates along an axis, (new_size, size).

  Raises:
    ValueError: no such method.
  """
  if method not in METHODS:
    raise ValueError(lookup.unknown("resize", method, METHODS))
  if method == "align_corners":
    at = np.linspace(0, size - 1, new_size)
  else:
    at = (np.arange(new_size) + 0.5) * size / new_size - 0.5
  at = np.clip(at, 0, size - 1)
  if method == "nearest":
    return np.eye(size, dtype=np.float32)[np.rint(at).astype(int)]
  return np.maximum(0, 1 - abs(at[:, None] - np.arange(size))).astype(
    np.float32
  )


def patches(kernel: np.ndarray, *, new_size: int) -> np.ndarray:
  """Returns the kernel of a patch embedding for patches of another side.

  A resized patch then has the token that the patch had: the pseudo-inverse of
  the interpolation (Beyer et al. 2023, FlexiViT, section 3.4).

  Args:
    kernel: (p, p, c, width).
    new_size: side of the new patches, in pixels.
  """
  size, _, channels, width = kernel.shape
  along = matrix(size, new_size, method="bilinear").astype(np.float64)
  inverse = np.linalg.pinv(np.kron(along, along).T)
  flat = kernel.reshape(size * size, channels * width)
  new = (inverse @ flat).astype(np.float32)
  return new.reshape(new_size, new_size, channels, width)


def channels(kernel: np.ndarray, *, new: int) -> np.ndarray:
  """Returns a kernel (h, w, in, out) for another number of input channels.

  One channel gets the sum of RGB, so that a grey image has the features that it
  had as RGB; more channels get RGB or grey in turn, scaled to keep the sum of
  all alike.

  Raises:
    ValueError: a channel would be left out.
  """
  old = kernel.shape[2]
  check_channels(old, new)
  if new == old:
    return kernel
  if new == 1:
    return kernel.sum(axis=2, keepdims=True)
  repeated = kernel[:, :, np.arange(new) % old]
  return repeated * np.float32(old / new)


def check_channels(old: int, new: int) -> None:
  """Raises a ValueError where a kernel of `old` channels gives none of `new`.

  Only of grey and RGB it is known what the channels are.
  """
  if new != old and not (old in (1, 3) and (new == 1 or new > old)):
    raise ValueError(
      f"it reads images of {old} channels, which cannot be made {new} without "
      f"leaving something out: say channels={old}"
    )
