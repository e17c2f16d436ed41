"""Pooling over windows of (b, h, w, c), in the forms that papers differ in."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

Padding = str | Sequence[tuple[int, int]]


def max_pool(
  x: jax.Array,
  window: int,
  *,
  stride: int,
  padding: Padding = "VALID",
) -> jax.Array:
  """Returns the largest value of each window; padding never wins.

  Args:
    x: (b, h, w, c).
    window: side of the square window.
    stride: of rows and columns.
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
  """Returns the mean of each window over the values that are not padding.

  Args:
    x: (b, h, w, c).
    window: side of the square window.
    stride: of rows and columns.
    padding: "SAME", "VALID", or ((top, bottom), (left, right)).
  """
  return nn.avg_pool(
    x, (window, window), (stride, stride), padding, count_include_pad=False
  )


def blur_pool(x: jax.Array, *, stride: int = 2) -> jax.Array:
  """Returns x low-pass filtered, then subsampled (Zhang 2019, section 3.2).

  The filter is the binomial one of 3 taps, (1, 2, 1) / 4 in each direction,
  on reflected borders.
  """
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
  for axis in (1, 2):
    n = x.shape[axis]
    left, middle, right = (
      jax.lax.slice_in_dim(x, i, n - 2 + i, stride, axis) for i in range(3)
    )
    x = 0.25 * left + 0.5 * middle + 0.25 * right
  return x
