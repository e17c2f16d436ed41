"""Resizing of learned positions, patch embeddings and input channels."""

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
  """Resizes learned positions to another grid of patches.

  Args:
    table: (1, n, width): one row per patch, row by row. Rows before them, such
      as that of the class token, are not changed.
    grid: rows and columns of patches in the table.
    new_grid: target rows and columns.
    method: "align_corners" (bilinear, corners are aligned, as in the papers),
      "bilinear" (pixels are areas, as in torch and jax.image) or "nearest".

  Raises:
    ValueError: the method is unknown, or the table has fewer rows than patches.
  """
  before = table.shape[1] - grid[0] * grid[1]
  if before < 0:
    raise ValueError(
      f"{table.shape[1]} positions are too few for {grid[0]}x{grid[1]} patches"
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
  """Returns the interpolation matrix of an axis, (new_size, size).

  Raises:
    ValueError: the method is unknown.
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
  """Resizes the kernel of a patch embedding to another patch size.

  The token of a resized patch equals the token of the patch: the kernel is
  multiplied by the pseudo-inverse of the interpolation (Beyer et al. 2023,
  FlexiViT, section 3.4).

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
  """Converts a kernel (h, w, in, out) to another number of input channels.

  One channel gets the sum over RGB, so a grey image has the same features as in
  RGB. For more channels, the channels are repeated and scaled so that the sum
  is unchanged.

  Raises:
    ValueError: a channel would be lost.
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
  """Raises ValueError if `old` channels cannot be converted to `new`.

  The meaning of the channels is known for grey and RGB only.
  """
  if new != old and not (old in (1, 3) and (new == 1 or new > old)):
    raise ValueError(
      f"it reads images with {old} channels, which cannot be converted to "
      f"{new} without loss: give channels={old}"
    )
