"""Tests of jaxvision.xla.convolutions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from jaxvision.xla import convolutions, traced

_IMAGES = np.random.default_rng(0).normal(size=(3, 9, 7, 2)).astype("float32")


class _Network(nn.Module):
  """Convolutions with strides, groups, dilation and one axis."""

  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Conv(4, (3, 2), strides=2)(x))
    x = nn.relu(nn.Conv(6, (3, 3), feature_group_count=2, kernel_dilation=2)(x))
    x = nn.ConvTranspose(4, (3, 3), strides=(2, 2))(x)
    return nn.Conv(3, (2,))(x.mean(axis=2)).sum()


def _gradient(params):
  return jax.grad(lambda p: _Network().apply(p, _IMAGES) ** 2)(params)


def _in_a_scan(params):
  def one(params, rate):
    slope = _gradient(params)
    return jax.tree.map(lambda p, g: p - rate * g, params, slope), None

  return jax.lax.scan(one, params, jnp.asarray([1e-4, 2e-4]))[0]


def _in_a_branch(params):
  branches = [_gradient, lambda p: p]
  return jax.lax.switch(jnp.asarray(0), branches, params)


def _in_a_checkpoint(params):
  def loss(p):
    return jax.checkpoint(_Network().apply)(p, _IMAGES) ** 2

  return jax.jit(jax.grad(loss))(params)


def _orders(jaxpr):
  """The dimension numbers of all convolutions of a program."""
  found = []
  for equation in jaxpr.eqns:
    if equation.primitive.name == "conv_general_dilated":
      found.append(tuple(equation.params["dimension_numbers"]))
    for inner in traced.programs_in(list(equation.params.values())):
      found += _orders(getattr(inner, "jaxpr", inner))
  return found


@pytest.mark.parametrize(
  "function", [_gradient, _in_a_scan, _in_a_branch, _in_a_checkpoint]
)
def test_all_axes_are_in_the_usual_order_and_results_equal(function):
  params = _Network().init(jax.random.key(0), _IMAGES)
  before, shape = jax.make_jaxpr(function, return_shape=True)(params)
  after = convolutions.order_axes(before)
  usual = {
    2 + spatial: (
      (0, 1 + spatial, *range(1, 1 + spatial)),
      (1 + spatial, spatial, *range(spatial)),
      (0, 1 + spatial, *range(1, 1 + spatial)),
    )
    for spatial in (1, 2)
  }
  is_usual = [
    [order == usual[len(order[0])] for order in _orders(each.jaxpr)]
    for each in (before, after)
  ]
  assert not all(is_usual[0]) and all(is_usual[1])
  assert len(is_usual[0]) == len(is_usual[1])
  found = jax.jit(core.jaxpr_as_fun(after))(*jax.tree.leaves(params))
  expected = jax.tree.leaves(jax.jit(function)(params))
  for one, other in zip(found, expected, strict=True):
    scale = float(jnp.abs(other).max())
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * scale)
  assert jax.tree.structure(shape) == jax.tree.structure(function(params))


def test_a_program_in_the_usual_order_stays_the_same_object():
  layer = nn.Conv(2, (3, 3))
  params = layer.init(jax.random.key(0), _IMAGES)
  program = jax.make_jaxpr(layer.apply)(params, _IMAGES)
  assert convolutions.order_axes(program) is program
