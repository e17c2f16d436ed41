"""Matrix products for Dense layers and 1x1 convolutions.

XLA:CPU multiplies two matrices faster than arrays with more axes. It computes
the weight gradient of a 1x1 convolution much faster as a matrix product than as
a convolution, for which it transposes feature maps element by element. So both
are a product of two matrices here, on all platforms.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxvision.layers import barriers, convolution

Pair = tuple[int, int]


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Returns the product of (..., i) with (i, o), which is (..., o)."""
  y = x.reshape(-1, x.shape[-1]) @ kernel
  return barriers.cotangent_barrier(y).reshape(*x.shape[:-1], kernel.shape[-1])


def dot_general(
  x: jax.Array, kernel: jax.Array, dimension_numbers: Any, **options: Any
) -> jax.Array:
  """`product`, as a replacement of `lax.dot_general` in `nn.Dense`."""
  del dimension_numbers, options
  return product(x, kernel)


def convolve(
  x: jax.Array,
  kernel: jax.Array,
  window_strides: Sequence[int],
  padding: str | Sequence[Pair],
  **options: Any,
) -> jax.Array:
  """`lax.conv_general_dilated` for images (b, h, w, c).

  Args:
    x: (b, h, w, c).
    kernel: (kh, kw, in, out).
    window_strides: strides of rows and columns.
    padding: "SAME", "VALID", or ((top, bottom), (left, right)).
    **options: options of `lax.conv_general_dilated`.

  Returns:
    (b, h', w', out).
  """
  rows, columns = window_strides
  dilation = tuple(options.get("rhs_dilation") or (1, 1))
  if isinstance(padding, str):
    window = [
      (k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True)
    ]
    padding = jax.lax.padtype_to_pads(
      x.shape[1:3], window, window_strides, padding
    )
  if not _is_plain(options):
    y = jax.lax.conv_general_dilated(
      x, kernel, window_strides, padding, **options
    )
    return barriers.cotangent_barrier(y)
  if kernel.shape[:2] == (1, 1) and not any(map(any, padding)):
    return product(x[:, ::rows, ::columns], kernel[0, 0])
  pads = tuple((int(low), int(high)) for low, high in padding)
  y = convolution.convolve(x, kernel, (rows, columns), pads, dilation)
  return barriers.cotangent_barrier(y)


def _is_plain(options: Mapping[str, Any]) -> bool:
  """Whether each output depends on all channels, at the default precision."""
  return (
    options.get("feature_group_count", 1) == 1
    and set(options.get("lhs_dilation") or ()) <= {1}
    and options.get("precision") is None
  )
