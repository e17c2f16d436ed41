"""Activations: values from their formulae, and the names of both GELUs."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import activations


def _gelu_tanh(x):
  inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
  return 0.5 * x * (1 + math.tanh(inner))


FORMULAE = {
  "elu": lambda x: x if x > 0 else math.exp(x) - 1,
  "gelu_erf": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
  "gelu_tanh": _gelu_tanh,
  "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
  "relu": lambda x: max(x, 0.0),
  "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
  "silu": lambda x: x / (1 + math.exp(-x)),
  "tanh": math.tanh,
}


def test_every_activation_has_a_formula_here():
  assert set(FORMULAE) == set(activations.ACTIVATIONS)


@pytest.mark.parametrize("name", FORMULAE)
def test_values(name):
  x = np.linspace(-4, 4, 33, dtype=np.float32)
  expected = [FORMULAE[name](float(each)) for each in x]
  actual = activations.create(name)(jnp.asarray(x))
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FORMULAE)
def test_keeps_the_dtype(name):
  x = jnp.ones(3, jnp.bfloat16)
  assert activations.create(name)(x).dtype == jnp.bfloat16


def test_unknown_name_lists_both_forms_of_gelu():
  with pytest.raises(ValueError, match=r"'gelu'.*gelu_erf.*gelu_tanh"):
    activations.create("gelu")
