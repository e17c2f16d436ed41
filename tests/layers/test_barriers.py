"""Values that XLA stores."""

import os

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.layers import barriers


def _chain(x, *, depth=6):
  for _ in range(depth):
    x = barriers.cotangent_barrier(x + jnp.tanh(x.mean(-1, keepdims=True)) * x)
  return x


def test_changes_no_value_and_no_derivative():
  x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
  plain = jax.jit(lambda x: (x * 3, jax.grad(lambda x: (x**3).sum())(x)))
  settled = jax.jit(
    lambda x: (
      barriers.cotangent_barrier(x * 3),
      jax.grad(lambda x: barriers.cotangent_barrier(x**3).sum())(x),
    )
  )
  jax.tree.map(np.testing.assert_array_equal, settled(x), plain(x))
  _, tangent = jax.jvp(barriers.cotangent_barrier, (x,), (x,))
  np.testing.assert_array_equal(tangent, x)
  assert np.isfinite(jax.grad(lambda x: _chain(x).sum())(x)).all()


def test_the_barrier_is_there_when_operations_are_merged():
  """With the flag of `tune_cpu`; without it XLA removes the barrier earlier."""
  assert "cse_barrier_expander" in os.environ["XLA_FLAGS"]
  compiled = jax.jit(jax.grad(lambda x: _chain(x).sum())).lower(
    jnp.ones((4, 8))
  )
  assert "opt-barrier" in compiled.compile().as_text()
