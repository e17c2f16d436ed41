"""Layer normalisation: mean 0, variance 1 over the channels of each position.

Ba et al. 2016, Layer Normalization. The mean is subtracted before squares are
averaged, because one pass over x and x^2 cancels for large means.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def normalize(x: jax.Array, epsilon: float) -> jax.Array:
  """Returns x with mean 0 and variance 1 over its last axis.

  Its derivative has a closed form of the result, with half of the averages that
  autodiff would compute.

  Args:
    x: (..., c) float.
    epsilon: added to the variance.
  """
  return _parts(x, epsilon)[0]


def _parts(x: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array]:
  """Returns the normalised x, and its factor (..., 1)."""
  centred = x - x.mean(axis=-1, keepdims=True)
  variance = jnp.square(centred).mean(axis=-1, keepdims=True)
  inverse = jax.lax.rsqrt(variance + epsilon)
  return centred * inverse, inverse


@normalize.defjvp
def _derivative(
  epsilon: float, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
  (x,), (tangent,) = primals, tangents
  y, inverse = _parts(x, epsilon)
  tangent = inverse * (tangent - tangent.mean(axis=-1, keepdims=True))
  return y, tangent - y * (y * tangent).mean(axis=-1, keepdims=True)


class LayerNorm(nn.Module):
  """Normalises, then applies a learned scale and bias per channel.

  Attributes:
    epsilon: added to the variance.
    dtype: type of the result; statistics are float32.
    scale_init: initialiser of the parameter `scale`, (c,).
    bias_init: initialiser of the parameter `bias`, (c,).
    use_bias: whether there is a bias.
  """

  epsilon: float = 1e-6
  dtype: DTypeLike = "float32"
  scale_init: Any = nn.initializers.ones
  bias_init: Any = nn.initializers.zeros
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (..., c) to the same shape."""
    c = x.shape[-1:]
    y = normalize(x.astype(jnp.float32), self.epsilon)
    ones = (1,) * (x.ndim - 1)
    y = y * self.param("scale", self.scale_init, c).reshape(ones + c)
    if self.use_bias:
      y = y + self.param("bias", self.bias_init, c).reshape(ones + c)
    return y.astype(self.dtype)
