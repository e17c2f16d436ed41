"""Updates in turns, against a loop that takes each of them alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import optimizers
from jaxvision.training.step import init_state, make_train_step, step_key

TURNS = (("critic", 2), ("generator", 1))
EXAMPLES = 12


def task_loss(params, model_state, batch, key):
  """Each part has its own sign, as in a game; the key changes the loss."""
  noise = 1 + 0.1 * jax.random.normal(key, ())
  fake = jnp.tanh(batch["image"] @ params["generator"]["w"])
  score = jnp.tanh(fake @ params["critic"]["w"])[:, 0]
  count = batch["mask"].sum()
  total = noise * (batch["mask"] * score).sum()
  seen = {"seen": model_state["seen"] + batch["image"].sum()}
  sums = {"loss": total, "count": batch["mask"].sum()}
  penalty = jnp.square(params["critic"]["w"]).sum()
  return total / count + penalty, (seen, sums)


def _start():
  rng = np.random.default_rng(0)
  variables = {
    "params": {
      "critic": {"w": jnp.asarray(rng.normal(size=(3, 1)), jnp.float32)},
      "generator": {"w": jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)},
    },
    "seen": jnp.zeros(()),
  }
  batch = {
    "image": jnp.asarray(rng.normal(size=(EXAMPLES, 4)), jnp.float32),
    "mask": jnp.ones(EXAMPLES),
  }
  optimizer = optimizers.create(
    "adam",
    params=variables["params"],
    learning_rate=lambda step: 0.1,
    turns=dict(TURNS),
  )
  return init_state(variables, optimizer, ema=True), optimizer, batch


def _step(optimizer, **options):
  return jax.jit(
    make_train_step(
      task_loss, optimizer, seed=3, ema_decay=0.9, turns=TURNS, **options
    )
  )


def _slow(state, batch):
  """The same by hand: one gradient and one optax optimizer for each part."""
  params, seen = dict(state.params), {"seen": state.model_state["seen"]}
  adam = optax.adam(0.1)
  states = {name: adam.init(part) for name, part in params.items()}
  key, norms, total = step_key(3, 0), [], 0.0
  for i, name in enumerate(("critic", "critic", "generator")):
    part = {k: v[i::3] for k, v in batch.items()}
    gradients, (seen, sums) = jax.grad(task_loss, has_aux=True)(
      params, seen, part, jax.random.fold_in(key, i)
    )
    norms.append(float(optax.tree.norm(gradients[name])))
    updates, states[name] = adam.update(gradients[name], states[name])
    params[name] = optax.apply_updates(params[name], updates)
    total += float(sums["loss"])
  return params, seen, total, np.mean(norms)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_a_step_takes_each_turn_on_its_own_examples(platform):
  state, optimizer, batch = _start()
  after, sums = _step(optimizer, platform=platform)(state, batch)
  params, seen, total, norm = _slow(state, batch)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
    (after.params, after.model_state, sums["loss"], sums["gradient_norm"]),
    (params, seen, total, norm),
  )
  assert int(sums["count"]) == EXAMPLES and int(after.step) == 1


def test_a_turn_changes_nothing_of_the_other_part():
  """Without a gradient for the generator, its parameters and moments stay."""
  state, _, batch = _start()
  rules = (("generator/.*", None), (".*", 1.0))
  frozen = optimizers.create(
    "adam",
    params=state.params,
    learning_rate=lambda step: 0.1,
    learning_rate_rules=rules,
    turns=dict(TURNS),
  )
  start = init_state(state.variables, frozen, ema=False)
  step = make_train_step(task_loss, frozen, seed=3, turns=TURNS)
  after, _ = jax.jit(step)(start, batch)
  np.testing.assert_array_equal(
    after.params["generator"]["w"], start.params["generator"]["w"]
  )
  assert np.abs(after.params["critic"]["w"] - start.params["critic"]["w"]).min()


def test_each_update_gets_the_constants_of_the_task():
  state, optimizer, batch = _start()

  def scaled(params, model_state, batch, key, factor):
    total, rest = task_loss(params, model_state, batch, key)
    return factor * total, rest

  step = make_train_step(scaled, optimizer, seed=3, turns=TURNS)
  norms = [
    float(jax.jit(step)(state, batch, factor)[1]["gradient_norm"])
    for factor in (0.0, 1.0)
  ]
  assert norms[0] == 0 < norms[1]


def test_accumulation_divides_each_update():
  """Without random numbers, parts of an update give the same gradient."""
  state, optimizer, batch = _start()

  def plain(params, model_state, batch, key):
    return task_loss(params, model_state, batch, jax.random.key(0))

  whole, parts = (
    jax.jit(
      make_train_step(
        plain, optimizer, seed=0, turns=TURNS, accumulate=accumulate
      )
    )(state, batch)[0]
    for accumulate in (1, 2)
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
    whole.params,
    parts.params,
  )
