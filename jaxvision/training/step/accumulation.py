"""Gradient accumulation: the gradient of a large batch, computed in parts.

The parts are computed one after another, to save memory. The gradient of a part
is weighted by its share of the examples with mask 1. The sum is equal to the
gradient of the mean over all examples with mask 1.

Part i of n has the examples i, i + n, i + 2n, ... A device that holds
neighbouring examples has its share of each part. The parts do not depend on the
number of devices.

Two things differ from one large batch. Random numbers are drawn separately for
each part, by `fold_in(key, part)`, and mixup mixes examples of the same part.
Batch normalisation uses the statistics of the part: it becomes "ghost" batch
normalisation. All parts start with the same running averages. The mean of their
new running averages is kept, so a step updates them once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.tasks.contract import TaskLoss
from jaxvision.xla import scans

Tree = Any
# The same arguments -> (gradient, (model_state, sums))
Gradient = Callable[..., tuple[Tree, Tree]]


def make_gradient(
  task_loss: TaskLoss, *, parts: int = 1, platform: str | None = None
) -> Gradient:
  """Returns the function that computes the gradient of a task loss.

  Args:
    task_loss: a mean over the examples with mask 1, plus terms that do not
      depend on the examples, such as a penalty.
    parts: number of parts of a batch; it must divide the batch size.
    platform: see `scans.scan`.
  """
  gradient = jax.grad(task_loss, has_aux=True)
  if parts == 1:
    return gradient

  def accumulated(params, model_state, batch, key, *constants):
    def weighted(inputs):
      part, share, number = inputs
      gradients, (new_state, sums) = gradient(
        params, model_state, part, jax.random.fold_in(key, number), *constants
      )
      # The share is float32, so the product is float32 for all parameter types.
      return _times(gradients, share), (_times(new_state, 1 / parts), sums)

    batches = jax.tree.map(lambda x: split(x, parts), batch)
    inputs = (batches, _shares(batches["mask"]), jnp.arange(parts))
    first = jax.tree.map(lambda x: x[0], inputs)
    zeros = jax.tree.map(
      lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(weighted, first)
    )
    total, _ = scans.scan(
      lambda total, each: (jax.tree.map(jnp.add, total, weighted(each)), None),
      zeros,
      inputs,
      platform=platform,
    )
    return total

  return accumulated


def split(x: jax.Array, parts: int) -> jax.Array:
  """The parts of an array of a batch, (b, ...) -> (parts, b / parts, ...)."""
  return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)


def _shares(mask: jax.Array) -> jax.Array:
  """The share of the examples with mask 1 in each part, (parts,)."""
  counts = mask.sum(axis=1)
  total = counts.sum()
  # A batch without examples still has the terms that do not depend on them.
  return jnp.where(total > 0, counts / jnp.maximum(total, 1), 1 / len(mask))


def _times(tree: Tree, factor: jax.Array | float) -> Tree:
  return jax.tree.map(lambda x: factor * x, tree)
