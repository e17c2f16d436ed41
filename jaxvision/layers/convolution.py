"""The convolution of images, with gradients that are fast everywhere on CPU.

The gradients of `lax.conv_general_dilated` are convolutions whose axes have
other meanings: the batch is summed, or the channels of the kernel are swapped.
XLA:CPU brings them into the form of its fast routine in the main program only.
In a loop, a branch or a call it computes them with plain loops, about seven
times slower. So on CPU the gradients are convolutions in the form of the fast
routine here, of operands that are transposed explicitly; XLA makes the same
from those of lax in the main program. Other platforms use the gradients of lax.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]

_AXES = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def convolve(
  x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, dilation: Pair
) -> jax.Array:
  """Convolves (b, h, w, c) with (kh, kw, c, o); returns (b, h', w', o).

  Args:
    x: images or feature maps.
    kernel: same dtype.
    strides: strides of rows and columns.
    pads: zeros at the top and bottom, left and right.
    dilation: distances between the taps of the kernel.
  """
  return jax.lax.conv_general_dilated(
    x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=_AXES
  )


def _derivative(strides, pads, dilation, primals, tangents):
  (x, kernel), (of_x, of_kernel) = primals, tangents
  options = {"strides": strides, "pads": pads, "dilation": dilation}
  y = convolve(x, kernel, **options)
  plain = functools.partial(convolve, **options)
  # A tangent is the transpose of a gradient, so the gradient, which is its
  # transpose, has the form that is written below.
  terms = []
  if not isinstance(of_x, SymbolicZero):
    gradient = functools.partial(_gradient_of_image, size=x.shape, **options)
    terms.append(
      jax.lax.platform_dependent(
        of_x,
        kernel,
        cpu=lambda t, k: _transposed(gradient, y, t, kernel=k),
        default=plain,
      )
    )
  if not isinstance(of_kernel, SymbolicZero):
    of = functools.partial(_gradient_of_kernel, size=kernel.shape, **options)
    terms.append(
      jax.lax.platform_dependent(
        x,
        of_kernel,
        cpu=lambda x, t: _transposed(of, y, t, x=x),
        default=plain,
      )
    )
  return y, sum(terms[1:], terms[0])


convolve.defjvp(_derivative, symbolic_zeros=True)


def _transposed(
  gradient: Callable[..., jax.Array],
  y: jax.Array,
  tangent: jax.Array,
  **other: jax.Array,
) -> jax.Array:
  """The transpose of `gradient(g, **other)`, for g like y, of a tangent."""
  like = jax.ShapeDtypeStruct(y.shape, y.dtype)
  of_g = functools.partial(gradient, **other)
  return jax.linear_transpose(of_g, like)(tangent)[0]


def _gradient_of_image(g, *, kernel, size, strides, pads, dilation):
  """The gradient (b, h, w, c) for the cotangent g (b, h', w', o)."""
  margins = []
  for axis in (0, 1):
    taps = (kernel.shape[axis] - 1) * dilation[axis] + 1
    before = taps - 1 - pads[axis][0]
    spread = (g.shape[axis + 1] - 1) * strides[axis] + 1
    margins.append((before, size[axis + 1] + taps - 1 - spread - before))
  return jax.lax.conv_general_dilated(
    g,
    jnp.flip(kernel, (0, 1)).swapaxes(2, 3),
    (1, 1),
    margins,
    lhs_dilation=strides,
    rhs_dilation=dilation,
    dimension_numbers=_AXES,
  )


def _gradient_of_kernel(g, *, x, size, strides, pads, dilation):
  """The gradient (kh, kw, c, o) for the cotangent g (b, h', w', o).

  A convolution with g as the kernel: the channels of x are its batch, and the
  batch is its channels.
  """
  margins = []
  for axis in (0, 1):
    taps = (size[axis] - 1) * dilation[axis] + 1
    spread = (g.shape[axis + 1] - 1) * strides[axis] + 1
    low = pads[axis][0]
    margins.append((low, spread + taps - 1 - x.shape[axis + 1] - low))
  found = jax.lax.conv_general_dilated(
    x.transpose(3, 1, 2, 0),
    g.transpose(1, 2, 0, 3),
    dilation,
    margins,
    rhs_dilation=strides,
    dimension_numbers=_AXES,
  )
  return found.transpose(1, 2, 0, 3)
