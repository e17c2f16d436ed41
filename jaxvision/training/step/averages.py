"""Averages of the parameters over the steps: exponential, or equal.

Both are functions of the step: the state needs no count of averaged values.
"""

from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def exponential(
  average: Tree, variables: Tree, step: jax.Array, *, decay: float
) -> Tree:
  """One update of the exponential moving average.

  The decay is at most (1 + step) / (10 + step), so the weight of the initial
  values falls fast.

  Args:
    average: before the step.
    variables: after the step.
    step: () int32, the number of steps before it.
    decay: of the average, in [0, 1).
  """
  keep = jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(
    lambda old, new: old + (1 - keep) * (new - old), average, variables
  )


def equal(
  average: Tree, variables: Tree, step: jax.Array, *, start: int, every: int
) -> Tree:
  """One update of the equal average of regular times (Izmailov et al. 2018).

  Stochastic weight averaging: the mean of the variables after the steps start,
  start + every, start + 2 every, ... Until the start it is the variables
  themselves. Between two times it stays unchanged.

  Args:
    average: before the step.
    variables: after the step.
    step: () int32, the number of steps before it.
    start: the number of steps before the first averaged variables, at least 1.
    every: steps between two averaged variables.
  """
  since = step + 1 - start
  is_new = since <= 0
  share = jnp.where(since % every == 0, 1 / (since // every + 1), 0)
  return jax.tree.map(
    lambda old, new: jnp.where(is_new, new, old + share * (new - old)),
    average,
    variables,
  )
