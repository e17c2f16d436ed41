"""Activations: values and slopes from the formulae of docs/activations.md.

The code of the page is run too.
"""

import math
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import test_util

from jaxvision.layers import activations

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "activations.md"
FORMULAE = dict(
  re.findall(r"^\| `(\w+)` \| `(.+?)` \|", PAGE.read_text(), re.M)
)
NAMES = {"max": max, "min": min} | vars(math)

every_activation = pytest.mark.parametrize("name", FORMULAE)


def _formula(name):
  """The page's formula, for Python's 64 bit floats."""
  code = compile(FORMULAE[name], name, "eval")
  return lambda x: eval(code, NAMES, {"x": x})


def _mish_as_written(x):
  return x * jnp.tanh(jax.nn.softplus(x))


def _mish_slope(x):
  """The derivative, as in the paper."""
  e = np.exp(x)
  omega = 4 * (x + 1) + 4 * e**2 + e**3 + e * (4 * x + 6)
  return e * omega / (2 * e + e**2 + 2) ** 2


def test_the_page_has_every_activation():
  assert set(FORMULAE) == set(activations.ACTIVATIONS)


@every_activation
def test_values(name):
  x = np.linspace(-4, 8, 49, dtype=np.float32)
  expected = [_formula(name)(float(each)) for each in x]
  actual = activations.create(name)(jnp.asarray(x))
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@every_activation
def test_slopes_are_those_of_differences(name):
  # Between the kinks, which are at -3, 0, 3 and 6.
  x = np.linspace(-4.1, 7.9, 41)
  formula, step = _formula(name), 1e-6
  expected = [(formula(v + step) - formula(v - step)) / (2 * step) for v in x]
  slope = jax.vmap(jax.grad(activations.create(name)))
  actual = slope(jnp.asarray(x, jnp.float32))
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.matrix(every=3)
@every_activation
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_keeps_the_dtype_and_is_finite_far_out(name, dtype):
  x = jnp.array([-1e4, -100, -1, 0, 1, 100, 1e4], dtype)
  activation = activations.create(name)
  values, slopes = activation(x), jax.vmap(jax.grad(activation))(x)
  assert values.dtype == slopes.dtype == x.dtype
  assert np.isfinite(values.astype("float32")).all()
  assert np.isfinite(slopes.astype("float32")).all()


def test_unknown_name_lists_both_forms_of_gelu():
  with pytest.raises(ValueError, match=r"'gelu'.*gelu_erf.*gelu_tanh"):
    activations.create("gelu")


def test_mish_has_the_published_values():
  x = jnp.array([1, -1, -1.19243122])
  expected = [0.8650983883, -0.3034014614, -0.30884341]
  np.testing.assert_allclose(activations.mish(x), expected, rtol=1e-6)
  slope = jax.vmap(jax.grad(activations.mish))
  actual = slope(jnp.array([0, 1, -1.19243122]))
  np.testing.assert_allclose(actual, [0.6, 1.0490362201, 0], atol=2e-7)


def test_mish_has_the_slope_of_the_paper_at_any_distance():
  x = np.linspace(-80, 80, 1601)  # The paper's form overflows beyond.
  slope = jax.jit(jax.vmap(jax.grad(activations.mish)))
  actual = slope(jnp.asarray(x, jnp.float32))
  np.testing.assert_allclose(actual, _mish_slope(x), rtol=2e-5, atol=1e-7)
  assert slope(jnp.array([100, 1e30, jnp.inf])).tolist() == [1, 1, 1]
  assert slope(jnp.array([-100.0])) == pytest.approx(0, abs=1e-30)


def test_mish_is_as_exact_in_float64():
  with jax.enable_x64(True):
    x = np.linspace(-30, 30, 601)
    slope = jax.vmap(jax.grad(activations.mish))(jnp.asarray(x))
    assert slope.dtype == jnp.float64
    np.testing.assert_allclose(slope, _mish_slope(x), rtol=1e-12)
    test_util.check_grads(
      activations.mish, (jnp.asarray(x),), order=2, modes=["rev"], eps=1e-5
    )


def test_mish_in_bfloat16_is_rounded_once():
  x = jnp.linspace(-8, 8, 513).astype(jnp.bfloat16)
  slope = jax.vmap(jax.grad(activations.mish))
  for function in (activations.mish, slope):
    exact = function(x.astype(jnp.float32))
    np.testing.assert_array_equal(function(x), exact.astype(jnp.bfloat16))


def test_mish_saves_its_input_and_nothing_else():
  x = jnp.linspace(-3, 3, 64).reshape(8, 8)
  for function, arrays in ((activations.mish, 1), (_mish_as_written, 5)):
    _, pullback = jax.vjp(function, x)
    saved = jax.tree.leaves(pullback)
    assert sum(each.nbytes for each in saved) == arrays * x.nbytes
  # Also under transformations that look into the function.
  _, pullback = jax.vjp(jax.jit(jax.vmap(activations.mish)), x)
  assert [each.shape for each in jax.tree.leaves(pullback)] == [x.shape]


def _temporary_bytes(activation):
  def loss(kernels, x):
    for kernel in kernels:
      x = activation(x @ kernel)
    return x.sum()

  kernels = [jax.ShapeDtypeStruct((64, 64), "float32")] * 8
  x = jax.ShapeDtypeStruct((4096, 64), "float32")
  compiled = jax.jit(jax.grad(loss)).lower(kernels, x).compile()
  return compiled.memory_analysis().temp_size_in_bytes


def test_mish_needs_the_memory_of_relu_in_a_compiled_step():
  mish = _temporary_bytes(activations.mish)
  assert mish <= 1.01 * _temporary_bytes(jax.nn.relu)
  assert mish < 0.7 * _temporary_bytes(_mish_as_written)


def test_maxout_takes_the_largest_of_neighbours():
  x = jnp.array([[1, 5, 2, -3, -1, -2], [0, 0, 1, 9, 8, 7]])
  expected = [[5, -1], [1, 9]]
  np.testing.assert_array_equal(activations.maxout(x, pieces=3), expected)
  turned = activations.maxout(x.T, pieces=3, axis=0)
  np.testing.assert_array_equal(turned, np.transpose(expected))
  turned = activations.maxout(x.T[None], pieces=3, axis=-2)
  np.testing.assert_array_equal(turned[0], np.transpose(expected))


def test_maxout_of_a_wrong_number_of_inputs_is_an_error():
  with pytest.raises(ValueError, match=r"8 inputs.* multiple of 3 pieces"):
    activations.maxout(jnp.zeros((2, 8)), pieces=3)


@pytest.mark.slow
def test_the_code_of_the_page_runs(monkeypatch):
  # One of the examples adds an activation.
  monkeypatch.setattr(activations, "ACTIVATIONS", dict(activations.ACTIVATIONS))
  blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
  assert len(blocks) == 7
  exec(compile("\n".join(blocks), PAGE.name, "exec"), {})
