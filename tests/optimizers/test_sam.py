"""Tests of sharpness-aware minimisation in jaxvision.optimizers.chain."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import optimizers

PARAMS = {
  "hidden": {"kernel": jnp.linspace(1, 2, 20).reshape(4, 5)},
  "fc": {"kernel": jnp.linspace(-1, 2, 15).reshape(5, 3), "bias": jnp.ones(3)},
}
GRADS = jax.tree.map(jnp.cos, PARAMS)


def _create(params=PARAMS, **settings):
  return optimizers.create(
    "sgd", learning_rate=lambda step: 0.1, params=params, **settings
  )


def test_sam_is_the_step_of_two_gradients():
  """On a quadratic, by hand: the gradient at w + rho g / |g|."""
  curvature = jnp.array([1.0, 4.0])

  def slope(params, step=0):
    return {"w": curvature * params["w"], "bias": params["bias"]}

  params = {"w": jnp.array([1.0, -0.5]), "bias": jnp.array([2.0])}
  optimizer = _create(
    params=params,
    sam_radius=0.3,
    options={"momentum": 0.9},
  )
  state, expected = optimizer.init(params), jax.tree.map(np.asarray, params)
  velocity = {"w": 0.0, "bias": 0.0}
  for _ in range(2):
    updates, state = optimizer.update(
      slope(params), state, params, grad_fn=slope
    )
    params = optax.apply_updates(params, updates)
    first = slope(expected)
    norm = np.sqrt(sum(float((g**2).sum()) for g in first.values()))
    uphill = {k: w + 0.3 * first[k] / norm for k, w in expected.items()}
    velocity = {k: 0.9 * velocity[k] + g for k, g in slope(uphill).items()}
    expected = {k: w - 0.1 * velocity[k] for k, w in expected.items()}
  for name, value in expected.items():
    np.testing.assert_allclose(params[name], value, rtol=1e-5)


def test_sam_leaves_frozen_parameters_where_they_are():
  rules = (("fc/.*", 1.0), (".*", None))
  optimizer = _create(sam_radius=0.1, learning_rate_rules=rules)
  seen = []

  def grad_fn(params, step):
    seen.append(params)
    return GRADS

  optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS, grad_fn=grad_fn)
  (uphill,) = seen
  frozen = uphill["hidden"]["kernel"]
  np.testing.assert_array_equal(frozen, PARAMS["hidden"]["kernel"])
  change = jax.tree.map(lambda a, b: a - b, uphill, PARAMS)
  assert float(optax.tree.norm(change)) == pytest.approx(0.1, rel=1e-4)


def test_sam_survives_a_gradient_of_zero():
  """A hinge loss that has reached zero has such a gradient."""
  zeros = jax.tree.map(jnp.zeros_like, PARAMS)
  optimizer = _create(sam_radius=0.1)
  updates, _ = optimizer.update(
    zeros,
    optimizer.init(PARAMS),
    PARAMS,
    grad_fn=lambda params, step: jax.tree.map(jnp.zeros_like, params),
  )
  assert float(optax.tree.norm(updates)) == 0.0
