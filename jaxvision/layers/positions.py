"""Position embeddings of patches: learned, sin-cos and rotary.

A grid is (rows, columns) of patches. Tokens are (b, n, width), with the patches
of an image row by row. Fixed tables are float32 numpy arrays, which are
constants of the compiled program.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.layers import initializers

# "learned": a vector per token, with the class token; for one image size.
# "learned_patches": a vector per patch. "sincos2d", "rotary": for any size.
KINDS = ("learned", "learned_patches", "sincos2d", "rotary", "none")


def sincos2d(
  grid: tuple[int, int], *, width: int, temperature: float = 10_000.0
) -> np.ndarray:
  """Returns sines and cosines of columns and rows, (rows * columns, width).

  The order is sin(column), cos(column), sin(row), cos(row), with width / 4
  frequencies from 1 to 1 / temperature, both included, as in MoCo v3 and in
  Beyer et al. 2022, Better plain ViT baselines for ImageNet-1k.

  Args:
    grid: (rows, columns).
    width: length of each token.
    temperature: largest wave length divided by 2 pi, in patches.

  Raises:
    ValueError: the width is not a multiple of 4, or is less than 8.
  """
  if width % 4 or width < 8:
    raise ValueError(
      f"width {width} has no 2-D sin-cos positions; "
      "use a multiple of 4 that is at least 8"
    )
  exponents = np.arange(width // 4) / (width // 4 - 1)
  row, column = _angles(grid, frequencies=temperature**-exponents)
  parts = (np.sin(column), np.cos(column), np.sin(row), np.cos(row))
  return np.concatenate(parts, axis=-1).astype(np.float32)


def rotary(
  grid: tuple[int, int], *, head_size: int, temperature: float = 100.0
) -> np.ndarray:
  """Returns the rotation of each pair, (rows * columns, head_size / 2).

  Axial: the first half of the pairs rotates with the column, the second half
  with the row. Heo et al. 2024, Rotary Position Embedding for Vision
  Transformer, section 3.2, with its temperature.

  Args:
    grid: (rows, columns).
    head_size: length of the queries and keys of a head.
    temperature: frequencies decrease from 1 towards 1 / temperature.

  Raises:
    ValueError: the size of a head is not a multiple of 4.
  """
  if head_size % 4:
    raise ValueError(
      f"heads of size {head_size} have no 2-D rotary positions; "
      "use a width that is a multiple of 4 times the number of heads"
    )
  exponents = np.arange(head_size // 4) / (head_size // 4)
  row, column = _angles(grid, frequencies=temperature**-exponents)
  return np.concatenate((column, row), axis=-1).astype(np.float32)


def _angles(
  grid: tuple[int, int], *, frequencies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns row and column of each patch times the frequencies, (n, f) each."""
  row, column = np.indices(grid).reshape(2, -1, 1)
  return row * frequencies, column * frequencies


def rotate(x: jax.Array, angles: jax.Array | np.ndarray) -> jax.Array:
  """Rotates each pair of neighbouring values of queries or keys.

  Args:
    x: (b, n, heads, head_size).
    angles: (n, head_size / 2), in radians.
  """
  cos, sin = (f(angles)[None, :, None] for f in (jnp.cos, jnp.sin))
  pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
  a, b = pairs[..., 0], pairs[..., 1]
  rotated = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)
  return rotated.reshape(x.shape).astype(x.dtype)


class LearnedPositions(nn.Module):
  """Adds one learned vector per token to (b, n, width)."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, n, width) to the same shape.

    Raises:
      ValueError: the parameter has another number of tokens.
    """
    name, shape = "pos_embedding", (1, *x.shape[1:])
    if self.has_variable("params", name):
      self._check(self.get_variable("params", name).shape, shape)
    init = initializers.normal(x.shape[-1] ** -0.5)
    return x + self.param(name, init, shape).astype(x.dtype)

  def _check(self, own: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if own[1] != shape[1]:
      raise ValueError(
        f"the learned positions are for {own[1]} tokens, but the images have "
        f"{shape[1]}; use images of the size of the parameters, interpolate "
        "the positions, or train with positions='sincos2d' or 'rotary', which "
        "fit any size"
      )
