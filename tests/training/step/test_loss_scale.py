"""Steps in float16: small gradients survive, infinite ones are left out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import optimizers
from jaxvision.training.step import TrainState, make_train_step

FACTOR = 2.0**-20  # of the gradient; its square is below float16


def _loss(params, model_state, batch, key):
  """A product in float16 whose cotangents are small."""
  del key
  products = batch["image"].astype(jnp.float16) @ params["w"].astype(
    jnp.float16
  )
  halved = products * jnp.float16(2.0**-12)
  loss = (halved.astype(jnp.float32) * batch["factor"]).mean()
  sums = {"loss": loss}
  return loss, ({"seen": model_state["seen"] + 1}, sums)


def _start(scaled, **options):
  optimizer = optax.sgd(1.0)
  if scaled:
    optimizer = optimizers.with_loss_scale(optimizer)
  params = {"w": jnp.ones((4, 2), jnp.float32)}
  state = TrainState(
    step=jnp.int32(0),
    params=params,
    model_state={"seen": jnp.int32(0)},
    opt_state=optimizer.init(params),
    ema={},
  )
  step = make_train_step(_loss, optimizer, seed=0, scaled=scaled, **options)
  return jax.jit(step), state


def _batch(factor):
  images = np.random.default_rng(0).uniform(0.5, 1, (8, 4)).astype(np.float32)
  factors = np.full((8, 1), factor, np.float32)
  return {"image": images, "factor": factors, "mask": np.ones(8, np.float32)}


def _moved(state):
  return 1 - np.asarray(state.params["w"])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_small_gradients_need_the_scale(accumulate):
  batch = _batch(FACTOR)
  expected = batch["image"].mean(axis=0) * 2.0**-12 * FACTOR / 2
  step, state = _start(False, accumulate=accumulate)
  assert not np.any(_moved(step(state, batch)[0]))
  # Read from the gradient's norm: 1 - 1e-10 is 1 in float32.
  step, state = _start(True, accumulate=accumulate)
  after, sums = step(state, batch)
  found = float(sums["gradient_norm"])
  assert found == pytest.approx(np.sqrt(2) * np.linalg.norm(expected), rel=1e-2)
  assert sums["loss_scale"] == 2.0**16
  assert after.opt_state.good == 1


def test_an_infinite_gradient_halves_the_scale_until_it_fits():
  step, state = _start(True)
  batch = _batch(2.0**6)
  scales, norms = [], []
  for _ in range(12):
    before = state
    state, sums = step(state, batch)
    scales.append(float(sums["loss_scale"]))
    norms.append(float(sums["gradient_norm"]))
    if not norms[-1]:
      np.testing.assert_array_equal(state.params["w"], before.params["w"])
      assert state.model_state["seen"] == before.model_state["seen"]
  left_out = norms.count(0.0)
  assert 0 < left_out < 12
  assert scales == [2.0 ** (16 - min(i, left_out)) for i in range(len(scales))]
  assert norms[-1] == pytest.approx(
    np.sqrt(2) * np.linalg.norm(batch["image"].mean(axis=0)) * 2.0**-7, rel=1e-2
  )


def test_a_gradient_that_no_scale_mends_is_shown():
  """The loop ends a run whose norm is not finite."""
  step, state = _start(True)
  norms = []
  for _ in range(20):
    state, sums = step(state, _batch(np.inf))
    norms.append(float(sums["gradient_norm"]))
  assert norms[:17] == [0.0] * 17
  assert not np.isfinite(norms[17])
