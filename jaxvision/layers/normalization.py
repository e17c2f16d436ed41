"""The normalisation of batch and group norm, with its derivative.

Feature maps are (b, ..., c) float32; scale and bias (1, ..., c).
"""

import functools
from collections.abc import Callable

import jax

Average = Callable[[jax.Array], jax.Array]


def normalize(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  *,
  mean: jax.Array,
  variance: jax.Array,
  average: Average,
  epsilon: float,
) -> jax.Array:
  """Returns (x - mean) / sqrt(variance + epsilon) * scale + bias.

  The derivative includes that of the mean and the variance of x. It has a
  closed form whose reverse pass sums twice over space; autodiff of the formula
  would sum six times.

  Args:
    x: (b, ..., c).
    scale: (1, ..., c).
    bias: (1, ..., c).
    mean: `average(x)`.
    variance: variance of x around `mean`.
    average: x -> means (b or 1, 1..., c), constant over the averaged values.
    epsilon: added to the variance.
  """
  mean = jax.lax.stop_gradient(mean)
  inverse = jax.lax.rsqrt(jax.lax.stop_gradient(variance) + epsilon)
  return _apply(average, x, scale, bias, mean, inverse)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _apply(average, x, scale, bias, mean, inverse):
  return (x - mean) * (inverse * scale) + bias


@_apply.defjvp
def _derivative(average: Average, primals, tangents):
  x, scale, bias, mean, inverse = primals
  dx, dscale, dbias, _, _ = tangents  # mean and inverse depend on x.
  factor = inverse * scale
  normal = (x - mean) * inverse
  # Each bracket has no spatial axes, so its cotangent is one sum.
  shift = dbias - factor * average(dx)
  slope = dscale - factor * average(normal * dx)
  tangent = factor * dx + shift + normal * slope
  return _apply(average, x, scale, bias, mean, inverse), tangent
