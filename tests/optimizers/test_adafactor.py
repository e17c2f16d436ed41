"""Tests of Adafactor: a slow version in numpy, and the size of its state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvision import optimizers

RATE = 0.1
SHAPES = {"small": (3, 40), "matrix": (40, 48), "kernel": (3, 3, 32, 33)}


def _draw(seed):
  rng = np.random.default_rng(seed)
  return {
    name: rng.normal(size=shape).astype("float32")
    for name, shape in SHAPES.items()
  }


def _create(**settings):
  return optimizers.create(
    "adafactor",
    params=_draw(0),
    learning_rate=lambda step: RATE,
    **{"options": {"dtype_momentum": "float32"}, **settings},
  )


def _slow(x, grads, *, decay_cap, threshold, weight_decay):
  """Algorithm 4 of Shazeer and Stern 2018, with momentum, for one parameter.

  The rows and columns of a kernel are its two largest axes, as in the paper's
  code: here the last two.
  """
  factored = x.ndim > 1 and min(x.shape[-2:]) >= 32
  row, column, second, average = 0.0, 0.0, 0.0, 0.0
  for t, grad in enumerate(grads, 1):
    decay = min(decay_cap, 1 - t**-0.8)
    square = grad.astype("float64") ** 2 + 1e-30
    if factored:
      row = decay * row + (1 - decay) * square.mean(-1, keepdims=True)
      column = decay * column + (1 - decay) * square.mean(-2, keepdims=True)
      estimate = row * column / row.mean(-2, keepdims=True)
    else:
      estimate = second = decay * second + (1 - decay) * square
    update = grad / np.sqrt(estimate)
    if threshold is not None:
      update = update / max(1, np.sqrt((update**2).mean()) / threshold)
    average = 0.9 * average + 0.1 * update
    x = x - RATE * (average + weight_decay * x)
  return x


@pytest.mark.parametrize(
  ("threshold", "decay_cap", "weight_decay"),
  [(None, 0.999, 0.0), (0.5, 0.4, 0.0), (None, 0.4, 0.2)],
)
def test_steps_equal_the_algorithm_of_the_paper(
  threshold, decay_cap, weight_decay
):
  options = {
    "dtype_momentum": "float32",
    "clipping_threshold": threshold,
    "decay_cap": decay_cap,
  }
  optimizer = _create(options=options, weight_decay=weight_decay)
  grads = [_draw(seed) for seed in range(1, 6)]
  params, state = _draw(0), jax.jit(optimizer.init)(_draw(0))
  for each in grads:
    updates, state = jax.jit(optimizer.update)(each, state, params)
    params = optax.apply_updates(params, updates)
  for name, start in _draw(0).items():
    expected = _slow(
      start,
      [each[name] for each in grads],
      decay_cap=decay_cap,
      threshold=threshold,
      weight_decay=weight_decay,
    )
    np.testing.assert_allclose(params[name], expected, rtol=2e-4, atol=2e-5)


def test_a_gradient_of_rank_one_has_the_exact_second_moment():
  """The outer product of means is exact then: the first update is a sign."""
  rng = np.random.default_rng(0)
  gradient = {"matrix": np.outer(rng.normal(size=40), rng.normal(size=48))}
  optimizer = optimizers.create(
    "adafactor",
    params=gradient,
    learning_rate=lambda step: 1.0,
    options={"momentum": None},
  )
  gradient = jax.tree.map(jnp.float32, gradient)
  updates, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
  np.testing.assert_allclose(
    updates["matrix"], -np.sign(gradient["matrix"]), rtol=1e-4
  )


def test_the_second_moment_of_matrices_is_rows_and_columns():
  options = {"momentum": None}
  optimizer = _create(options=options)
  state = jax.eval_shape(optimizer.init, _draw(0))
  held = sum(leaf.size for leaf in jax.tree.leaves(state) if leaf.size > 1)
  rows_and_columns = (40 + 48) + (9 * 32 + 9 * 33)
  assert held == 3 * 40 + rows_and_columns


def test_the_momentum_is_kept_in_bfloat16():
  optimizer = _create(options={})
  state = jax.eval_shape(optimizer.init, _draw(0))
  half = [x.size for x in jax.tree.leaves(state) if x.dtype == jnp.bfloat16]
  assert sum(half) == sum(x.size for x in _draw(0).values())
