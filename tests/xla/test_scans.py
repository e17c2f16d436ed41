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
