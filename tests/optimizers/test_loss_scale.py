"""The loss scale follows flax's rule, and leaves out what is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training import dynamic_scale

from jaxvision import optimizers
from jaxvision.optimizers import loss_scale

PARAMS = {"w": jnp.arange(3.0)}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
  monkeypatch.setattr(loss_scale, "INTERVAL", 3)


def _gradients(finite):
  return {"w": jnp.array([1.0, 2.0, 3.0 if finite else jnp.inf])}


def test_the_scale_is_that_of_flax():
  pattern = np.random.default_rng(0).random(60) > 0.2
  ours = optimizers.with_loss_scale(optax.sgd(0.1)).init(PARAMS)
  # It doubles one update later than torch and we do.
  theirs = dynamic_scale.DynamicScale(growth_interval=2)
  optimizer = optimizers.with_loss_scale(optax.sgd(0.1))
  found, expected = [], []
  for finite in pattern:
    _, ours = optimizer.update(_gradients(finite), ours, PARAMS)
    value = 1.0 if finite else np.inf
    theirs, *_ = theirs.value_and_grad(lambda x, v=value: x * v)(1.0)
    found.append(float(ours.scale))
    expected.append(float(theirs.scale))
  assert found == expected
  assert max(found) > 2 * min(found)


def test_an_update_that_is_not_finite_changes_only_the_scale():
  inner = optax.adam(0.1)
  optimizer = optimizers.with_loss_scale(inner)
  state = optimizer.init(PARAMS)
  _, state = optimizer.update(_gradients(True), state, PARAMS)
  updates, after = optimizer.update(_gradients(False), state, PARAMS)
  assert not np.any(updates["w"])
  jax.tree.map(np.testing.assert_array_equal, after.inner, state.inner)
  assert after.scale == state.scale / 2 and after.good == 0


def test_finite_updates_are_those_of_the_optimizer():
  inner = optax.adam(0.1)
  optimizer = optimizers.with_loss_scale(inner)
  state, plain = optimizer.init(PARAMS), inner.init(PARAMS)
  for _ in range(5):
    updates, state = optimizer.update(_gradients(True), state, PARAMS)
    expected, plain = inner.update(_gradients(True), plain, PARAMS)
    np.testing.assert_array_equal(updates["w"], expected["w"])
