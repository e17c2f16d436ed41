"""The depthwise convolution: every channel with a filter of its own.

Images (b, h, w, c), kernels (kh, kw, 1, c) as Flax and lax lay them out.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Padding = str | Sequence[tuple[int, int]]


def convolve(
  x: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], padding: Padding
) -> jax.Array:
  """Returns the depthwise convolution of (b, h, w, c) with (kh, kw, 1, c).

  Args:
    x: images or feature maps.
    kernel: of the same dtype; one channel of output per channel of input.
    strides: of rows and of columns.
    padding: "SAME", "VALID", or ((top, bottom), (left, right)).
  """
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    feature_group_count=x.shape[-1],
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    preferred_element_type=jnp.result_type(x),
  )
