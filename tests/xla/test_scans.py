"""Tests of jaxvision.xla.scans."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.xla import scans


@pytest.mark.parametrize(("backend", "loops_left"), [("cpu", 0), ("gpu", 1)])
def test_scan_is_that_of_lax_and_written_out_on_a_cpu(
  monkeypatch, backend, loops_left
):
  def function(carry, inputs):
    carry = {"sum": carry["sum"] * inputs["a"] + inputs["b"]}
    return carry, (carry["sum"], inputs["b"])

  carry = {"sum": jnp.asarray(2.0)}
  inputs = {"a": jnp.asarray([1.0, 2.0, 3.0]), "b": jnp.arange(3)}
  expected = jax.lax.scan(function, carry, inputs)
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  found = scans.scan(function, carry, inputs)
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  jaxpr = jax.make_jaxpr(lambda c, i: scans.scan(function, c, i))(carry, inputs)
  primitives = [equation.primitive.name for equation in jaxpr.eqns]
  assert primitives.count("scan") == loops_left
