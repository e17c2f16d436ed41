"""Frozen parts of a model: no gradient, and what they do in evaluation.

What is frozen is said by the rules of the learning rate, of which None freezes
(see `jaxvision.optimizers`). That the optimizer leaves parameters as they are
is not enough: a normalisation that is frozen must also keep its running
averages, and use them, and no dropout or drop path may act inside, or the
features change although no parameter does. And without gradients below the
first trained layer, a linear probe costs one forward pass.

A dropout has no parameters. It is frozen where all that surrounds it is; where
only a part of that is, it belongs to the next layer that is called: the dropout
in front of a trained classifier acts, the one in front of a frozen block not.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxvision import layers, trees

Tree = Any
Rules = Sequence[tuple[str, float | None]]

# Modules without parameters that change their input at random in training.
_DROPS = (nn.Dropout, layers.DropPath)


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
  """In it, what is frozen of the model acts as in evaluation.

  Frozen batch normalisations use and keep their running averages; a frozen
  module that is called with `train` is told that it is False; dropout and drop
  path do nothing there.

  Args:
    model: that is applied inside, with its statistics mutable.
    is_frozen: from `frozen`; a module is if all its parameters are.

  Raises:
    ValueError: the model is scanned, where modules are not told apart.
  """
  modules = _modules(is_frozen)
  if not any(each.frozen for each in modules.values()):
    return contextlib.nullcontext()
  if getattr(model, "scan_layers", False):
    raise ValueError(
      "optimizer.learning_rate_rules freeze parts of a model that is scanned; "
      "set model.options.scan_layers to False"
    )
  return nn.intercept_methods(_interceptor(modules))


@dataclasses.dataclass(frozen=True)
class _Module:
  """What is known of a module that has parameters, in it or inside.

  Attributes:
    own: of its own parameters, whether each is frozen.
    all: of all, with those of the modules inside.
  """

  own: tuple[bool, ...] = ()
  all: tuple[bool, ...] = ()

  @property
  def frozen(self) -> bool:
    """Whether all parameters are frozen."""
    return all(self.all)


def _modules(is_frozen: Tree) -> dict[str, _Module]:
  """By path; the model itself is ""."""
  found: dict[str, _Module] = {}
  for path, leaf in trees.flatten(is_frozen).items():
    *names, _ = path.split("/")
    for depth in range(len(names) + 1):
      module = "/".join(names[:depth])
      old = found.get(module, _Module())
      own = (*old.own, leaf) if depth == len(names) else old.own
      found[module] = _Module(own, (*old.all, leaf))
  return found


def _interceptor(modules: Mapping[str, _Module]) -> Callable[..., Any]:
  """Makes of each call what it is in evaluation, where that is frozen."""
  applied: dict[str, Any] = {}

  def interceptor(call, args, kwargs, context):
    module, path = context.module, "/".join(context.module.path)
    if context.method_name != "__call__" or applied.get("looks ahead"):
      return call(*args, **kwargs)
    if not path:
      applied.update(model=(module, args, kwargs), next=None)
    own = modules.get(path, _Module()).own
    if getattr(module, "use_running_average", None) is False and own:
      if not all(own):
        return call(*args, **kwargs)
      norm = module.clone(parent=None, name=None, use_running_average=True)
      return norm.apply(module.variables, *args, **kwargs)
    around = modules[_known(path, modules)]
    is_still = around.frozen
    if isinstance(module, _DROPS):
      if not is_still and any(around.all):
        following = _following(applied, modules).get(path)
        is_still = bool(following and all(modules[following].own))
      return args[0] if is_still else call(*args, **kwargs)
    if is_still and kwargs.get("train"):
      kwargs = {**kwargs, "train": False}
    return call(*args, **kwargs)

  return interceptor


def _known(path: str, modules: Mapping[str, _Module]) -> str:
  """The innermost module around a path that has parameters, or is the model."""
  while path and path not in modules:
    path = path.rpartition("/")[0]
  return path


def _following(
  applied: dict[str, Any], modules: Mapping[str, _Module]
) -> dict[str, str]:
  """By the path of each module, the next one called with own parameters."""
  if applied["next"] is None:
    model, args, kwargs = applied["model"]
    applied["looks ahead"] = True
    paths = _called(model, args, kwargs)
    applied["looks ahead"] = False
    following: dict[str, str] = {}
    last = ""
    for path in reversed(paths):
      following[path] = last
      if modules.get(path, _Module()).own:
        last = path
    applied["next"] = following
  return applied["next"]


def _called(
  model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[str]:
  """The paths of the modules that a model calls, in order."""
  paths: list[str] = []

  def observe(call, args, kwargs, context):
    if context.method_name == "__call__":
      paths.append("/".join(context.module.path))
    return call(*args, **kwargs)

  def run(variables: Tree, args: tuple[Any, ...]) -> Any:
    streams = {name: jax.random.key(0) for name in model.scope.rngs}
    unbound = model.clone(parent=None, name=None)
    return unbound.apply(variables, *args, **kwargs, mutable=True, rngs=streams)

  with nn.intercept_methods(observe):
    jax.eval_shape(run, model.variables, args)
  return paths
