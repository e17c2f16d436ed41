"""The depthwise convolution and its gradients are those of lax."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxvision import layers, summary
from jaxvision.layers import depthwise

PADDINGS = ("SAME", "VALID", ((2, 1), (0, 3)))
CASES = [
  *(
    ((9, 8), (3, 3), (s, s), padding)
    for s, padding in itertools.product((1, 2), PADDINGS)
  ),
  ((9, 8), (1, 1), (2, 2), "SAME"),
  ((9, 8), (5, 5), (1, 1), "SAME"),
  ((9, 8), (5, 5), (2, 2), ((2, 1), (0, 3))),
  ((9, 8), (7, 7), (1, 1), "SAME"),
  ((8, 9), (7, 7), (2, 2), "SAME"),
  ((8, 9), (2, 4), (1, 2), "SAME"),
  ((11, 7), (3, 5), (3, 2), "SAME"),
  ((2, 3), (5, 5), (2, 2), "SAME"),
  ((1, 1), (3, 3), (2, 2), ((1, 1), (1, 1))),
  ((9, 9), (3, 3), (4, 4), "VALID"),
]


def _lax(x, kernel, strides, padding):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    feature_group_count=x.shape[-1],
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def _random(*shapes, dtype=jnp.float32):
  keys = jax.random.split(jax.random.key(0), len(shapes))
  return [
    jax.random.normal(key, shape, dtype)
    for key, shape in zip(keys, shapes, strict=True)
  ]


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _with_gradients(convolve, x, kernel, strides, padding):
  """The output, and both gradients for a cotangent that is not constant."""
  y, pull_back = jax.vjp(
    lambda x, kernel: convolve(x, kernel, strides, padding), x, kernel
  )
  return y, *pull_back(jnp.sin(y))


def _ours(x, kernel, strides, padding):
  return depthwise.convolve(x, kernel, strides=strides, padding=padding)


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize("size, kernel, strides, padding", CASES, ids=str)
def test_values_and_gradients_are_those_of_lax(size, kernel, strides, padding):
  x, weights = _random((4, *size, 6), (*kernel, 1, 6))
  actual = _with_gradients(_ours, x, weights, strides, padding)
  expected = _with_gradients(_lax, x, weights, strides, padding)
  for ours, theirs in zip(actual, expected, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_any_batch_size(batch):
  x, weights = _random((batch, 5, 5, 2), (3, 3, 1, 2))
  actual = _with_gradients(_ours, x, weights, (1, 1), "SAME")
  expected = _with_gradients(_lax, x, weights, (1, 1), "SAME")
  for ours, theirs in zip(actual, expected, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_bfloat16_sums_in_float32():
  """The only errors are those of rounding the inputs and the result."""
  x, weights = _random((8, 9, 9, 4), (5, 5, 1, 4), dtype=jnp.bfloat16)
  wide = x.astype(jnp.float32), weights.astype(jnp.float32)
  actual = _with_gradients(_ours, x, weights, (1, 1), "SAME")
  expected = _with_gradients(_lax, *wide, (1, 1), "SAME")
  for ours, theirs in zip(actual, expected, strict=True):
    assert ours.dtype == jnp.bfloat16
    error = np.abs(ours.astype(np.float32) - theirs).max()
    assert error < 2e-2 * np.abs(theirs).max()


def test_sharded_batch_gives_the_same():
  x, weights = _random((8, 6, 6, 4), (3, 3, 1, 4))
  mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
  sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("batch")))
  replicated = jax.device_put(weights, NamedSharding(mesh, PartitionSpec()))
  for ours, theirs in zip(
    _with_gradients(_ours, sharded, replicated, (2, 2), "SAME"),
    _with_gradients(_ours, x, weights, (2, 2), "SAME"),
    strict=True,
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_vectorises():
  x, weights = _random((3, 2, 5, 5, 4), (3, 3, 3, 1, 4))
  convolve = functools.partial(
    depthwise.convolve, strides=(1, 1), padding="SAME"
  )
  actual = jax.vmap(convolve)(x, weights)
  for i in range(3):
    np.testing.assert_allclose(actual[i], convolve(x[i], weights[i]), atol=1e-5)


def test_only_lax_is_lowered_for_other_platforms():
  """The CPU uses only the sum of taps, because lax is slow there."""
  x, weights = _random((2, 8, 8, 4), (3, 3, 1, 4))
  traced = _with_gradients.trace(_ours, x, weights, (1, 1), "SAME")
  for platform in ("cuda", "tpu"):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == 3
  assert "stablehlo.convolution" not in traced.lower().as_text()


def test_operations_are_counted_as_those_of_a_convolution():
  class _Model(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
      return layers.DepthwiseConv(5, stride=2)(images)

  flops = summary.flops_per_image(_Model(), image_shape=(8, 8, 3))
  assert flops == 2 * 4 * 4 * 25 * 3
