"""Products of matrices instead of products and convolutions of lax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import matmul

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _random(*shape):
  return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 3, 4, 5)])
def test_product_is_that_of_the_last_axis(shape):
  x, kernel = _random(*shape), _random(5, 6)
  np.testing.assert_allclose(
    matmul.product(x, kernel), x @ kernel, rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize(
  "size, strides, padding, groups",
  [
    (1, (1, 1), "SAME", 1),
    (1, (2, 2), "SAME", 1),
    (1, (2, 1), "VALID", 1),
    (1, (2, 2), ((0, 0), (0, 0)), 1),
    (1, (1, 1), ((1, 1), (0, 2)), 1),
    (1, (1, 1), "SAME", 2),
    (3, (2, 2), "SAME", 1),
    (3, (1, 1), ((1, 1), (1, 1)), 2),
  ],
)
def test_convolution_and_its_gradients_are_those_of_lax(
  size, strides, padding, groups
):
  x, kernel = _random(2, 7, 6, 4), _random(size, size, 4 // groups, 6)
  options = {
    "dimension_numbers": _DIMENSIONS,
    "feature_group_count": groups,
  }

  @functools.partial(jax.jit, static_argnums=0)
  def both(convolve, x, kernel):
    y, back = jax.vjp(
      lambda x, k: convolve(x, k, strides, padding, **options), x, kernel
    )
    return y, *back(jnp.cos(y))

  ours = both(matmul.convolve, x, kernel)
  lax = both(jax.lax.conv_general_dilated, x, kernel)
  for actual, expected in zip(ours, lax, strict=True):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_dilated_convolution_is_padded_for_its_window(stride):
  x, kernel = _random(2, 7, 6, 3), _random(3, 3, 3, 4)
  actual, expected = (
    convolve(
      x,
      kernel,
      (stride, stride),
      "SAME",
      dimension_numbers=_DIMENSIONS,
      rhs_dilation=(2, 2),
    )
    for convolve in (matmul.convolve, jax.lax.conv_general_dilated)
  )
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_a_pointwise_convolution_is_a_product():
  convolve = functools.partial(
    matmul.convolve,
    window_strides=(2, 2),
    padding="SAME",
    dimension_numbers=_DIMENSIONS,
  )
  jaxpr = str(
    jax.make_jaxpr(convolve)(_random(1, 4, 4, 3), _random(1, 1, 3, 2))
  )
  assert "dot_general" in jaxpr
  assert "conv_general_dilated" not in jaxpr
