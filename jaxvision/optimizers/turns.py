"""An optimizer of several parts of the parameters that are updated in turns."""

from collections.abc import Mapping
from typing import Any

import optax

Optimizer = optax.GradientTransformationExtraArgs
Tree = Any


def by_part(optimizers: Mapping[str, Optimizer]) -> Optimizer:
  """Joins the optimizers of the parts of parameters.

  An update has the gradients of one or several parts. It returns their updates.
  The states of the other parts, such as moments and counts, do not change.

  Args:
    optimizers: by the first name of the paths; each is for {name: parameters}.
  """

  def init(params: Tree) -> Tree:
    return {
      name: each.init({name: params[name]}) for name, each in optimizers.items()
    }

  def update(
    gradients: Tree, state: Tree, params: Tree = None, **extra: Any
  ) -> tuple[Tree, Tree]:
    updates, states = {}, dict(state)
    for name, gradient in gradients.items():
      found, states[name] = optimizers[name].update(
        {name: gradient},
        state[name],
        None if params is None else {name: params[name]},
        **extra,
      )
      updates |= found
    return updates, states

  return optax.GradientTransformationExtraArgs(init, update)
