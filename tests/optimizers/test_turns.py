"""Optimizers of parts of the parameters, against one optimizer for each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import optimizers

PARAMS = {
  "critic": {"kernel": jnp.arange(6.0).reshape(2, 3)},
  "generator": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)},
}
TURNS = {"critic": 3, "generator": 1}


def _gradient(params, seed):
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), params)


def _create(**options):
  options = {"learning_rate": lambda step: 0.1 / (1 + step), **options}
  return optimizers.create("adam", params=PARAMS, turns=TURNS, **options)


def test_an_update_of_a_part_leaves_the_others_as_they_are():
  optimizer = _create(weight_decay=0.1)
  before = optimizer.init(PARAMS)
  gradient = {"critic": _gradient(PARAMS["critic"], 0)}
  updates, after = optimizer.update(gradient, before, PARAMS)
  assert set(updates) == {"critic"}
  jax.tree.map(
    np.testing.assert_array_equal, after["generator"], before["generator"]
  )
  counts = [x for x in jax.tree.leaves(after["critic"]) if x.ndim == 0]
  assert counts and all(int(x) == 1 for x in counts)


def test_each_part_has_the_updates_of_its_own_optimizer():
  optimizer = _create()
  # Three updates of the critic are a step, so its rate changes with the third.
  rates = {"critic": lambda n: 0.1 / (1 + n // 3), "generator": lambda n: 0.1}
  theirs = {name: optax.adam(rate) for name, rate in rates.items()}
  state = optimizer.init(PARAMS)
  expected = {name: theirs[name].init(PARAMS[name]) for name in theirs}
  for i, name in enumerate(("critic",) * 5 + ("generator",)):
    gradient = _gradient(PARAMS[name], i)
    found, state = optimizer.update({name: gradient}, state, PARAMS)
    wanted, expected[name] = theirs[name].update(gradient, expected[name])
    jax.tree.map(np.testing.assert_array_equal, found[name], wanted)


def test_rules_match_the_complete_paths():
  rules = (("generator/.*", None), (".*", 2.0))
  optimizer = _create(learning_rate_rules=rules)
  plain = _create()
  for name, factor in (("critic", 2), ("generator", 0)):
    gradient = {name: _gradient(PARAMS[name], 0)}
    found, wanted = (
      each.update(gradient, each.init(PARAMS), PARAMS)[0]
      for each in (optimizer, plain)
    )
    jax.tree.map(
      lambda a, b, f=factor: np.testing.assert_allclose(a, f * b, rtol=1e-6),
      found,
      wanted,
    )


def test_turns_name_each_part():
  with pytest.raises(ValueError, match="turns update critic, but the param"):
    optimizers.create(
      "adam",
      params=PARAMS,
      learning_rate=lambda step: 0.1,
      turns={"critic": 1},
    )
