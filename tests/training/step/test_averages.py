"""The equal average of parameters, by the mean in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision.training.step import averages


@pytest.mark.parametrize(
  ("start", "every"), [(1, 1), (1, 3), (7, 1), (7, 4), (12, 30), (20, 5)]
)
def test_the_equal_average_is_the_mean_of_regular_times(start, every):
  rng = np.random.default_rng(start)
  taken = [
    {"params": each, "batch_stats": -each}
    for each in rng.normal(size=(20, 5)).astype(np.float32)
  ]

  @jax.jit
  def update(average, variables, step):
    return averages.equal(average, variables, step, start=start, every=every)

  average = {"params": jnp.zeros(5), "batch_stats": jnp.zeros(5)}
  for step, now in enumerate(taken):
    average = update(average, now, step)
    if step + 1 <= start:
      jax.tree.map(np.testing.assert_array_equal, average, now)
      continue
    chosen = [taken[i - 1]["params"] for i in range(start, step + 2, every)]
    mean = np.mean(np.float64(chosen), axis=0)
    np.testing.assert_allclose(average["params"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(average["batch_stats"], -average["params"])


def test_between_two_times_no_bit_changes():
  average = jnp.float32([1 / 3, 1e-30, 1e30])
  found = averages.equal(average, average * 0.7, 11, start=7, every=2)
  np.testing.assert_array_equal(found, average)
  found = averages.equal(average, average * 0.7, 10, start=7, every=2)
  assert not np.array_equal(found, average)
