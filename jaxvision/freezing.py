"""Frozen parts of a model: they get no gradient, and their statistics stay.

What is frozen is said by the rules of the learning rate, of which None freezes
(see `jaxvision.optimizers`). That the optimizer leaves parameters as they are
is not enough: a normalisation that is frozen must also keep its running
averages, and use them, or the features change although no parameter does. And
without gradients below the first trained layer, a linear probe costs one
forward pass.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxvision import trees

Tree = Any
Rules = Sequence[tuple[str, float | None]]


def frozen(params: Tree, rules: Rules) -> Tree:
  """Returns which parameters are frozen, a tree of bools like `params`.

  Args:
    params: only paths matter.
    rules: `(pattern, factor of the learning rate)`; None freezes.

  Raises:
    ValueError: as `trees.match_rules`.
  """
  factors = trees.match_rules(
    rules, params, where="optimizer.learning_rate_rules"
  )
  return jax.tree.map(
    lambda factor: factor is None, factors, is_leaf=lambda each: each is None
  )


def stop_gradients(params: Tree, is_frozen: Tree) -> Tree:
  """Returns the same values, without gradients where they are frozen."""
  return jax.tree.map(
    lambda leaf, stop: jax.lax.stop_gradient(leaf) if stop else leaf,
    params,
    is_frozen,
  )


def keep_statistics(
  model: nn.Module, is_frozen: Tree
) -> contextlib.AbstractContextManager:
  """In it, frozen batch normalisations of the model act as in evaluation.

  Args:
    model: that is applied inside, with its statistics mutable.
    is_frozen: from `frozen`; a module is if all its parameters are.

  Raises:
    ValueError: the model is scanned, where modules are not told apart.
  """
  still: dict[str, bool] = {}
  for path, leaf in trees.flatten(is_frozen).items():
    module = path.rpartition("/")[0]
    still[module] = still.get(module, True) and leaf

  def interceptor(call, args, kwargs, context):
    module = context.module
    is_norm = getattr(module, "use_running_average", None) is False
    path = "/".join(module.path)
    if not (is_norm and context.method_name == "__call__" and still.get(path)):
      return call(*args, **kwargs)
    norm = module.clone(parent=None, name=None, use_running_average=True)
    return norm.apply(module.variables, *args, **kwargs)

  if getattr(model, "scan_layers", False) and any(still.values()):
    raise ValueError(
      "optimizer.learning_rate_rules freeze parts of a model that is scanned; "
      "set model.options.scan_layers to False"
    )
  return nn.intercept_methods(interceptor)
