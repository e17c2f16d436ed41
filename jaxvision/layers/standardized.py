"""Weight standardisation: convolutions with filters of mean 0 and variance 1.

Qiao et al. 2019, Micro-Batch Training with Batch-Channel Normalization and
Weight Standardization. Published networks add epsilon in two different places.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import lookup
from jaxvision.layers import initializers, matmul

# Where epsilon is added: w / sqrt(variance + epsilon), as in the released BiT,
# or w / (sqrt(variance) + epsilon), as in the released ViT hybrids.
RULES = ("variance", "deviation")


def standardize(
  kernel: jax.Array, *, epsilon: float, added_to: str = "variance"
) -> jax.Array:
  """Returns a kernel (h, w, in, out) with mean 0 and variance 1 per output.

  Args:
    kernel: float32.
    epsilon: a small number that prevents a division by zero.
    added_to: "variance" or "deviation".

  Raises:
    ValueError: `added_to` is unknown.
  """
  if added_to not in RULES:
    raise ValueError(lookup.unknown("epsilon rule", added_to, RULES))
  matrix = kernel.reshape(-1, kernel.shape[-1])
  return _normalize(matrix, epsilon, added_to).reshape(kernel.shape)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _normalize(x: jax.Array, epsilon: float, added_to: str) -> jax.Array:
  """Returns (n, c) with mean 0 and variance 1 per column.

  Its derivative has a closed form, with half of the means of autodiff.
  """
  return _parts(x, epsilon, added_to)[0]


def _parts(
  x: jax.Array, epsilon: float, added_to: str
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns the result y, the factor f in y = f (x - mean), and -f' in y.

  That is, the derivative of y is f (t - mean(t)) - r y mean(y f (t - mean(t))).
  """
  centred = x - x.mean(axis=0, keepdims=True)
  variance = jnp.square(centred).mean(axis=0, keepdims=True)
  if added_to == "variance":
    factor = jax.lax.rsqrt(variance + epsilon)
    ratio = jnp.ones_like(factor)
  else:
    deviation = jnp.sqrt(variance)
    factor = 1 / (deviation + epsilon)
    # d factor / d deviation = -factor^2, and y has the deviation d * factor.
    ratio = 1 / (factor * deviation)
  return centred * factor, factor, ratio


@_normalize.defjvp
def _derivative(epsilon, added_to, primals, tangents):
  (x,), (tangent,) = primals, tangents
  y, factor, ratio = _parts(x, epsilon, added_to)
  tangent = factor * (tangent - tangent.mean(axis=0, keepdims=True))
  slope = (y * tangent).mean(axis=0, keepdims=True)
  return y, tangent - ratio * y * slope


class StandardizedConv(nn.Module):
  """A convolution with a standardised kernel, without bias.

  The parameter `kernel` (h, w, in, out) is the kernel before standardisation.

  Attributes:
    features: channels of the output.
    kernel_size: side of the square kernel.
    stride: stride of rows and columns.
    padding: "SAME", an int for all sides, or ((top, bottom), (left, right)).
    epsilon: epsilon of the standardisation.
    added_to: where epsilon is added, "variance" or "deviation".
    kernel_init: initialiser of the kernel.
    dtype: type of the convolution; the standardisation is float32.
  """

  features: int
  kernel_size: int = 1
  stride: int = 1
  padding: str | int | Sequence[tuple[int, int]] = 0
  epsilon: float = 1e-10
  added_to: str = "variance"
  kernel_init: nn.initializers.Initializer = initializers.lecun_normal()
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h', w', features)."""
    k, padding = self.kernel_size, self.padding
    shape = (k, k, x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape)
    kernel = standardize(kernel, epsilon=self.epsilon, added_to=self.added_to)
    if isinstance(padding, int):
      padding = ((padding, padding), (padding, padding))
    return matmul.convolve(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      (self.stride, self.stride),
      padding,
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
