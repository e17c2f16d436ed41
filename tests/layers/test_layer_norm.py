"""Layer normalisation against the formula in float64 and against Flax."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import layer_norm

SHAPE = (2, 3, 6)


def _inputs(*, mean=0.0, scale=1.0):
  rng = np.random.default_rng(0)
  return (mean + scale * rng.normal(size=SHAPE)).astype(np.float32)


def _variables():
  rng = np.random.default_rng(1)
  return {
    "params": {
      "scale": rng.uniform(0.5, 1.5, SHAPE[-1:]).astype(np.float32),
      "bias": rng.normal(size=SHAPE[-1:]).astype(np.float32),
    }
  }


@pytest.mark.parametrize("mean, scale", [(0.0, 1.0), (3e3, 1.0), (0.0, 1e-3)])
def test_equals_the_formula(mean, scale):
  """Also for values that cancel in one pass, and for small variances."""
  x, params = _inputs(mean=mean, scale=scale), _variables()["params"]
  actual = layer_norm.LayerNorm().apply(_variables(), x)
  x = np.float64(x)
  centred = x - x.mean(axis=-1, keepdims=True)
  deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
  expected = centred / deviation * params["scale"] + params["bias"]
  np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def _scalar(norm):
  weights = jnp.asarray(_inputs() ** 3)

  def function(variables, x):
    return jnp.sum(weights * jnp.sin(norm.apply(variables, x)))

  return function


def test_derivatives_are_those_of_flax():
  """First and second, forwards and backwards."""
  ours, theirs = (
    _scalar(norm(epsilon=1e-2)) for norm in (layer_norm.LayerNorm, nn.LayerNorm)
  )
  arguments = (_variables(), _inputs())
  tangents = jax.tree.map(jnp.cos, arguments)

  @functools.partial(jax.jit, static_argnums=0)
  def derivatives(function):
    gradient = jax.grad(function, argnums=(0, 1))
    return (
      gradient(*arguments),
      jax.jvp(function, arguments, tangents),
      jax.jvp(gradient, arguments, tangents)[1],
    )

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
    derivatives(ours),
    derivatives(theirs),
  )


def test_bfloat16_has_statistics_in_float32():
  x = jnp.asarray(_inputs(mean=3.0), jnp.bfloat16)
  half = layer_norm.LayerNorm(dtype="bfloat16").apply(_variables(), x)
  assert half.dtype == jnp.bfloat16
  exact = layer_norm.LayerNorm().apply(_variables(), x)
  np.testing.assert_array_equal(half, exact.astype(jnp.bfloat16))
