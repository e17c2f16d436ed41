"""The batch statistics of the average of a run, recomputed on training data.

The pass uses the first batches of the training, with the random keys of their
steps. So the statistics are a function of the config and the average.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import parallel
from jaxvision.training.setup import Parts
from jaxvision.training.step import TrainState, step_key
from jaxvision.training.step.batch_statistics import COLLECTION

Tree = Any


def make_refresh(
  parts: Parts,
) -> Callable[..., TrainState]:
  """Makes refresh(state, limit=None) -> the state with new batch statistics.

  They are the statistics of the average `state.ema`: the mean over the first
  `parts.steps.statistics` batches, or over `limit` batches. They are equal in
  all processes. A state whose average has not begun, or has no batch
  statistics, is returned unchanged.
  """
  if parts.statistics is None:
    return lambda state, limit=None: state
  shardings = jax.tree.map(lambda x: x.sharding, parts.template.ema[COLLECTION])
  batches = parts.batches["train"]

  @functools.partial(jax.jit, donate_argnums=0, out_shardings=shardings)
  def add(mean, variables, batch, number, seed, *constants):
    key = step_key(seed, number)
    found = parts.statistics(variables, batch, key, *constants)
    return jax.tree.map(lambda m, x: m + (x - m) / (number + 1), mean, found)

  zeros = jax.jit(
    lambda tree: jax.tree.map(jnp.zeros_like, tree), out_shardings=shardings
  )

  def refresh(state: TrainState, limit: int | None = None) -> TrainState:
    if limit is None and int(state.step) < parts.steps.average_start:
      return state
    mean = zeros(state.ema[COLLECTION])
    count = limit or parts.steps.statistics
    with contextlib.closing(batches.iterate(0, count)) as found:
      for number, batch in enumerate(found):
        mean = add(
          mean,
          state.ema,
          parallel.put_batch(batch, parts.mesh),
          np.int32(number),
          parts.seed,
          *parts.task.constants,
        )
    return state.replace(ema={**state.ema, COLLECTION: mean})

  return refresh
