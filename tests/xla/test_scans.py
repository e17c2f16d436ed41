"""Tests of jaxvision.xla.scans."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.xla import scans


@pytest.mark.parametrize("platform", [None, "cpu", "gpu"])
@pytest.mark.parametrize(("steps", "loops"), [(3, 1), (1, 0)])
def test_scan_is_that_of_lax_and_one_step_is_no_loop(steps, loops, platform):
  def function(carry, inputs):
    carry = {"sum": carry["sum"] * inputs["a"] + inputs["b"]}
    return carry, (carry["sum"], inputs["b"])

  carry = {"sum": jnp.asarray(2.0)}
  inputs = {"a": jnp.asarray([1.0, 2.0, 3.0]), "b": jnp.arange(3)}
  inputs = jax.tree.map(lambda x: x[:steps], inputs)
  scan = functools.partial(scans.scan, function, platform=platform)
  expected = jax.lax.scan(function, carry, inputs)
  found = scan(carry, inputs)
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  jaxpr = jax.make_jaxpr(scan)(carry, inputs)
  primitives = [equation.primitive.name for equation in jaxpr.eqns]
  assert primitives.count("scan") == loops


@pytest.mark.parametrize("platform", [None, "cpu", "gpu"])
@pytest.mark.parametrize(("count", "choices"), [(3, 1), (1, 0)])
def test_switch_is_that_of_lax_and_one_branch_is_no_choice(
  count, choices, platform
):
  def convolve(x, y):
    # The axes of the gradient are not in the usual order.
    loss = lambda k: jax.lax.conv(x, k, (1, 1), "SAME").sum()  # noqa: E731
    return {"x": jax.grad(loss)(y)}

  branches = [convolve, lambda x, y: {"x": y * 2}, lambda x, y: {"x": y - 1}]
  x, y = jnp.ones((2, 3, 5, 5)), jnp.arange(54.0).reshape(2, 3, 3, 3)
  for index in range(count):
    given = (jnp.int32(index), branches[:count], x, y)
    found = scans.switch(*given, platform=platform)
    expected = jax.lax.switch(*given)
    np.testing.assert_allclose(found["x"], expected["x"], rtol=1e-6)
  function = functools.partial(scans.switch, platform=platform)
  program = jax.make_jaxpr(lambda i: function(i, branches[:count], x, y))(0)
  primitives = [equation.primitive.name for equation in program.jaxpr.eqns]
  assert primitives.count("cond") == choices
  if choices:
    text = str(program)
    usual = "ConvDimensionNumbers(lhs_spec=(0, 3, 1, 2)"
    assert (usual in text) == (platform != "gpu")
