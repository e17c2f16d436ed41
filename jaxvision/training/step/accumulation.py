"""The gradient of a large batch, from parts of it that fit into memory.

The parts are computed one after another and their gradients added up, each with
the share of the examples that it has, so that the sum is the gradient of the
mean over all examples that count, as if they had been computed together.

Part i of n has the examples i, i + n, i + 2n, ... A device that holds
neighbouring examples has its share of each part, and the parts are the same
whatever the number of devices.

Two things are of a part and not of the batch. What is random is drawn for each
part anew, by `fold_in(key, part)`; mixup finds its partners in the part. And
batch normalisation normalises by the statistics of the part: it becomes "ghost"
batch normalisation. All parts begin with the same running averages; the mean of
what they make of them is kept, so that a step moves them once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.tasks.contract import Batch, TaskLoss
from jaxvision.xla import scans

Tree = Any
# The same arguments -> (gradient, (model_state, sums))
Gradient = Callable[[Tree, Tree, Batch, jax.Array], tuple[Tree, Tree]]


def make_gradient(
  task_loss: TaskLoss, *, parts: int = 1, platform: str | None = None
) -> Gradient:
  """Returns the gradient of a task loss by its parameters.

  Args:
    task_loss: a mean over the examples of mask 1, plus what does not depend on
      them, such as a penalty.
    parts: in which a batch is taken; must divide it.
    platform: see `scans.scan`.
  """
  gradient = jax.grad(task_loss, has_aux=True)
  if parts == 1:
    return gradient

  def accumulated(params, model_state, batch, key):
    def weighted(inputs):
      part, share, number = inputs
      gradients, (new_state, sums) = gradient(
        params, model_state, part, jax.random.fold_in(key, number)
      )
      # The product with a share is float32 whatever the parameters are.
      return _times(gradients, share), (_times(new_state, 1 / parts), sums)

    split = jax.tree.map(lambda x: _split(x, parts), batch)
    inputs = (split, _shares(split["mask"]), jnp.arange(parts))
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


def _split(x: jax.Array, parts: int) -> jax.Array:
  """Returns (b, ...) as (parts, b / parts, ...)."""
  return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)


def _shares(mask: jax.Array) -> jax.Array:
  """Returns the share of the examples that each part has, (parts,)."""
  counts = mask.sum(axis=1)
  total = counts.sum()
  # Without examples there is still what does not depend on them.
  return jnp.where(total > 0, counts / jnp.maximum(total, 1), 1 / len(mask))


def _times(tree: Tree, factor: jax.Array | float) -> Tree:
  return jax.tree.map(lambda x: factor * x, tree)
