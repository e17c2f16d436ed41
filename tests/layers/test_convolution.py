"""The convolution and its gradients, beside those of lax."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.layers import convolution

_AXES = ("NHWC", "HWIO", "NHWC")
# (height, width), (kernel), strides, pads, dilation
CASES = [
  ((14, 14), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
  ((15, 13), (3, 5), (2, 2), ((0, 1), (2, 2)), (1, 1)),
  ((16, 16), (3, 3), (2, 1), ((2, 3), (1, 0)), (2, 2)),
  ((11, 11), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
  ((12, 12), (4, 4), (3, 3), ((1, 2), (0, 0)), (1, 1)),  # rows are left over
  ((5, 5), (3, 3), (1, 1), ((3, 0), (0, 4)), (1, 1)),  # more zeros than taps
]


def _lax(x, kernel, strides, pads, dilation):
  return jax.lax.conv_general_dilated(
    x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=_AXES
  )


def _operands(size, side):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(5, *size, 4)).astype(np.float32)
  kernel = rng.normal(size=(*side, 4, 6)).astype(np.float32)
  return jnp.asarray(x), jnp.asarray(kernel)


def _derivatives(convolve, x, kernel):
  """The value, both gradients, a tangent, and products with the Hessian."""

  def loss(x, kernel):
    return jnp.sin(convolve(x, kernel)).sum()

  gradient = jax.grad(loss, (0, 1))
  primals, tangents = (x, kernel), (jnp.cos(x), jnp.cos(kernel))
  return (
    convolve(x, kernel),
    gradient(x, kernel),
    jax.jvp(loss, primals, tangents)[1],
    jax.jvp(gradient, primals, tangents)[1],
  )


@pytest.mark.parametrize(("size", "side", "strides", "pads", "dilation"), CASES)
def test_all_derivatives_are_those_of_lax(size, side, strides, pads, dilation):
  x, kernel = _operands(size, side)
  options = {"strides": strides, "pads": pads, "dilation": dilation}
  own, other = (
    _derivatives(functools.partial(each, **options), x, kernel)
    for each in (convolution.convolve, _lax)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4),
    own,
    other,
  )


def _gradient(convolve):
  strides, pads = (2, 2), ((1, 1), (1, 1))

  def loss(x, kernel):
    return jnp.sin(convolve(x, kernel, strides, pads, (1, 1))).sum()

  return jax.jit(jax.grad(loss, (0, 1)))


def _axes(text):
  """The meaning of the axes of all convolutions in a lowered program."""
  return re.findall(
    r"dim_numbers=(\S+?\]x\S+?\]->\S+?\])", text.replace(" ", "")
  )


def test_on_cpu_the_gradients_have_the_form_of_the_fast_routine():
  traced = _gradient(convolution.convolve).trace(*_operands((8, 8), (3, 3)))
  text = traced.lower(lowering_platforms=("cpu",)).as_text()
  assert set(_axes(text)) == {"[b,0,1,f]x[0,1,i,o]->[b,0,1,f]"}
  assert len(_axes(text)) == 3


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_other_platforms_have_the_gradients_of_lax(platform):
  own, other = (
    _gradient(each)
    .trace(*_operands((8, 8), (3, 3)))
    .lower(lowering_platforms=(platform,))
    .as_text()
    for each in (convolution.convolve, _lax)
  )
  assert sorted(_axes(own)) == sorted(_axes(other))
  assert len(set(_axes(own))) == 3


def test_a_loop_computes_the_gradients_of_its_body():
  x, kernel = _operands((6, 6), (3, 3))
  kernel = kernel[..., :4] / 6
  options = {"strides": (1, 1), "pads": ((1, 1), (1, 1)), "dilation": (1, 1)}

  def unrolled(kernel):
    y = x
    for _ in range(3):
      y = jnp.tanh(convolution.convolve(y, kernel, **options))
    return y.sum()

  def looped(kernel):
    def body(y, _):
      return jnp.tanh(convolution.convolve(y, kernel, **options)), None

    return jax.lax.scan(body, x, None, length=3)[0].sum()

  np.testing.assert_allclose(
    jax.grad(looped)(kernel), jax.grad(unrolled)(kernel), rtol=1e-5, atol=1e-5
  )


def test_gradients_are_batched():
  x, kernel = _operands((6, 6), (3, 3))
  kernels = jnp.stack([kernel, 2 * kernel])
  options = {"strides": (1, 1), "pads": ((0, 0), (0, 0)), "dilation": (1, 1)}

  def gradient(kernel):
    return jax.grad(
      lambda k: jnp.sin(convolution.convolve(x, k, **options)).sum()
    )(kernel)

  together = jax.vmap(gradient)(kernels)
  for kernel, found in zip(kernels, together, strict=True):
    np.testing.assert_allclose(found, gradient(kernel), rtol=1e-4, atol=1e-4)
