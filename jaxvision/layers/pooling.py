"""Pooling over windows of (b, h, w, c), in the forms of several papers."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

Padding = str | Sequence[tuple[int, int]]


def max_pool(
  x: jax.Array,
  window: int,
  *,
  stride: int,
  padding: Padding = "VALID",
) -> jax.Array:
  """Returns the maximum of each window, without padding.

  Args:
    x: (b, h, w, c).
    window: side of the square window.
    stride: stride of rows and columns.
    padding: "SAME", "VALID", or ((top, bottom), (left, right)), of -inf.
  """
  return nn.max_pool(x, (window, window), (stride, stride), padding)


def avg_pool(
  x: jax.Array,
  window: int,
  *,
  stride: int,
  padding: Padding = "VALID",
) -> jax.Array:
  """Returns the mean of each window, without padding.

  Args:
    x: (b, h, w, c).
    window: side of the square window.
    stride: stride of rows and columns.
    padding: "SAME", "VALID", or ((top, bottom), (left, right)).
  """
  return nn.avg_pool(
    x, (window, window), (stride, stride), padding, count_include_pad=False
  )


def adaptive_avg_pool(x: jax.Array, size: int) -> jax.Array:
  """Averages a map of any size to `size` x `size`.

  As in torch: mean i is over the rows from floor(i h / size) to
  ceil((i + 1) h / size). Windows overlap if `size` does not divide h, and
  repeat rows if `size` is larger than h.

  Args:
    x: (b, h, w, c).
    size: side of the result, (b, size, size, c).
  """
  _, h, w, _ = x.shape
  if (h, w) == (size, size):
    return x
  rows, columns = (_window_means(n, size).astype(x.dtype) for n in (h, w))
  return jnp.einsum(
    "ih,bhwc,jw->bijc", rows, x, columns, precision=jax.lax.Precision.HIGHEST
  )


def _window_means(n: int, size: int) -> np.ndarray:
  """The (size, n) matrix that averages the windows of a line."""
  matrix = np.zeros((size, n))
  for i in range(size):
    start, stop = i * n // size, -(-(i + 1) * n // size)
    matrix[i, start:stop] = 1 / (stop - start)
  return matrix


def blur_pool(x: jax.Array, *, stride: int = 2) -> jax.Array:
  """Returns x low-pass filtered, then subsampled (Zhang 2019, section 3.2).

  The filter is binomial with 3 taps, (1, 2, 1) / 4 in each direction, with
  reflected borders.
  """
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
  for axis in (1, 2):
    n = x.shape[axis]
    left, middle, right = (
      jax.lax.slice_in_dim(x, i, n - 2 + i, stride, axis) for i in range(3)
    )
    x = 0.25 * left + 0.5 * middle + 0.25 * right
  return x
