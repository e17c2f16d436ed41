"""The batch statistics of parameters that no step has trained.

The running averages of a batch normalisation belong to the parameters that were
trained. An average of parameters needs its own statistics. Izmailov et al.
2018, Averaging Weights Leads to Wider Optima and Better Generalization, section
3.2, compute them in a pass over the training data, as
`torch.optim.swa_utils.update_bn` does.

The loss of a task updates a running average r with the statistics x of a batch:
k * r + (1 - k) * x, with a momentum k. The derivative by r is k, and r = 0
gives x. So any module and any momentum is supported. k is 1 in frozen layers,
which keep their running averages.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvision.tasks.contract import Batch, TaskLoss
from jaxvision.training.step import accumulation
from jaxvision.xla import scans

Tree = Any
COLLECTION = "batch_stats"
# (variables, batch, key, *constants) -> statistics like variables[COLLECTION]
Statistics = Callable[..., Tree]


def make_statistics(
  task_loss: TaskLoss, *, parts: int = 1, platform: str | None = None
) -> Statistics:
  """Returns the function that computes the statistics of a batch.

  Args:
    task_loss: of the training.
    parts: number of parts of a batch, as in gradient accumulation. The result
      is the mean over the parts.
    platform: see `scans.scan`.
  """
  if parts == 1:
    return lambda *arguments: _of_batch(task_loss, *arguments)

  def of_parts(variables: Tree, batch: Batch, key: jax.Array, *constants: Tree):
    def one(total: Tree, inputs: Tree) -> tuple[Tree, None]:
      part, number = inputs
      own = jax.random.fold_in(key, number)
      found = _of_batch(task_loss, variables, part, own, *constants)
      return jax.tree.map(lambda t, x: t + x / parts, total, found), None

    batches = jax.tree.map(lambda x: accumulation.split(x, parts), batch)
    zeros = jax.tree.map(jnp.zeros_like, variables[COLLECTION])
    inputs = (batches, jnp.arange(parts))
    return scans.scan(one, zeros, inputs, platform=platform)[0]

  return of_parts


def _of_batch(
  task_loss: TaskLoss,
  variables: Tree,
  batch: Batch,
  key: jax.Array,
  *constants: Tree,
) -> Tree:
  """The statistics of one batch; of frozen layers, their running averages."""
  state = {name: each for name, each in variables.items() if name != "params"}

  def update(running: Tree) -> Tree:
    _, (moved, _) = task_loss(
      variables["params"],
      {**state, COLLECTION: running},
      batch,
      key,
      *constants,
    )
    return moved[COLLECTION]

  moved, derivative = jax.vjp(update, state[COLLECTION])
  (kept,) = derivative(jax.tree.map(jnp.ones_like, moved))
  # Zero, without rounding errors of large values. Frozen layers need theirs.
  without = jax.tree.map(
    lambda k, running: jnp.where(k < 1, 0, running), kept, state[COLLECTION]
  )
  return jax.tree.map(
    lambda k, new, old: jnp.where(k < 1, new / jnp.where(k < 1, 1 - k, 1), old),
    kept,
    update(without),
    without,
  )
