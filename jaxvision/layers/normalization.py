"""What batch and group normalisation share: a mean, a variance, a derivative.

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

  The derivative is that of a mean and a variance which are those of x, in a
  closed form whose reverse sums twice over space: what autodiff makes of the
  formula does so six times.

  Args:
    x: (b, ..., c).
    scale: (1, ..., c).
    bias: (1, ..., c).
    mean: `average(x)`.
    variance: of x around it.
    average: x -> means that are the same wherever it takes them over,
      (b or 1, 1..., c).
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
  dx, dscale, dbias, _, _ = tangents  # The others are those of x.
  factor = inverse * scale
  normal = (x - mean) * inverse
  # Each bracket is one array without space: so its cotangent is one sum.
  shift = dbias - factor * average(dx)
  slope = dscale - factor * average(normal * dx)
  tangent = factor * dx + shift + normal * slope
  return _apply(average, x, scale, bias, mean, inverse), tangent
