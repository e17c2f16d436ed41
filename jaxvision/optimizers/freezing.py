"""Frozen parts of a model: no gradient, and the behaviour of evaluation.

The learning-rate rules define the frozen parameters: None freezes (see
`jaxvision.optimizers`). It is not sufficient that the optimizer does not change
these parameters. A frozen normalisation must also keep and use its running
averages, and dropout and drop path inside frozen modules must be inactive;
otherwise the features would change. There are no gradients below the first
trained layer, so a linear probe costs one forward pass.

Dropout has no parameters. It is frozen if its parent module is completely
frozen. If the parent is partly frozen, dropout belongs to the next layer that
is called: dropout before a trained classifier is active, dropout before a
frozen block is not.
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

# Modules without parameters that are random in training.
_DROPS = (nn.Dropout, layers.DropPath)


def frozen(params: Tree, rules: Rules) -> Tree:
  """Returns a tree of bools like `params`: whether each parameter is frozen.

  Args:
    params: tree of parameters; only paths are used.
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
  """Returns the parameters, with gradients stopped at frozen ones."""
  return jax.tree.map(
    lambda leaf, stop: jax.lax.stop_gradient(leaf) if stop else leaf,
    params,
    is_frozen,
  )


def keep_statistics(
  model: nn.Module, is_frozen: Tree, *, method: str = "__call__"
) -> contextlib.AbstractContextManager:
  """A context in which frozen modules behave as in evaluation.

  Frozen batch normalisation uses and keeps its running averages. A frozen
  module with an argument `train` gets False. Dropout and drop path are inactive
  in frozen modules.

  Args:
    model: the model that is applied inside, with mutable statistics.
    is_frozen: from `frozen`; a module is frozen if all its parameters are.
    method: of the model, which is applied.

  Raises:
    ValueError: the model is scanned, so its blocks cannot be distinguished.
  """
  modules = _modules(is_frozen)
  if not any(each.frozen for each in modules.values()):
    return contextlib.nullcontext()
  if getattr(model, "scan_layers", False):
    raise ValueError(
      "optimizer.learning_rate_rules freeze parts of a scanned model; set "
      "model.options.scan_layers to False"
    )
  return nn.intercept_methods(_interceptor(modules, method))


@dataclasses.dataclass(frozen=True)
class _Module:
  """A module with parameters, its own or those of submodules.

  Attributes:
    own: whether each of its own parameters is frozen.
    all: the same for all parameters, with those of submodules.
  """

  own: tuple[bool, ...] = ()
  all: tuple[bool, ...] = ()

  @property
  def frozen(self) -> bool:
    """Whether all parameters are frozen."""
    return all(self.all)


def _modules(is_frozen: Tree) -> dict[str, _Module]:
  """{path: module}; the path of the model is ""."""
  found: dict[str, _Module] = {}
  for path, leaf in trees.flatten(is_frozen).items():
    *names, _ = path.split("/")
    for depth in range(len(names) + 1):
      module = "/".join(names[:depth])
      old = found.get(module, _Module())
      own = (*old.own, leaf) if depth == len(names) else old.own
      found[module] = _Module(own, (*old.all, leaf))
  return found


def _interceptor(
  modules: Mapping[str, _Module], method: str
) -> Callable[..., Any]:
  """The interceptor that calls frozen modules as in evaluation."""
  applied: dict[str, Any] = {}

  def interceptor(call, args, kwargs, context):
    module, path = context.module, "/".join(context.module.path)
    if applied.get("looks ahead"):
      return call(*args, **kwargs)
    if not path and context.method_name == method:
      applied.update(model=(module, method, args, kwargs), next=None)
    if context.method_name != "__call__":
      return call(*args, **kwargs)
    own = modules.get(path, _Module()).own
    if getattr(module, "use_running_average", None) is False and own:
      if not all(own):
        return call(*args, **kwargs)
      norm = module.clone(parent=None, name=None, use_running_average=True)
      return norm.apply(module.variables, *args, **kwargs)
    around = modules[_known(path, modules)]
    is_frozen_here = around.frozen
    if isinstance(module, _DROPS):
      if not is_frozen_here and any(around.all):
        following = _following(applied, modules).get(path)
        is_frozen_here = bool(following and all(modules[following].own))
      return args[0] if is_frozen_here else call(*args, **kwargs)
    if is_frozen_here and kwargs.get("train"):
      kwargs = {**kwargs, "train": False}
    return call(*args, **kwargs)

  return interceptor


def _known(path: str, modules: Mapping[str, _Module]) -> str:
  """The innermost module with parameters that contains a path, or the model."""
  while path and path not in modules:
    path = path.rpartition("/")[0]
  return path


def _following(
  applied: dict[str, Any], modules: Mapping[str, _Module]
) -> dict[str, str]:
  """{path of a module: path of the next called module with own parameters}."""
  if applied["next"] is None:
    applied["looks ahead"] = True
    paths = _called(*applied["model"])
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
  model: nn.Module,
  method: str,
  args: tuple[Any, ...],
  kwargs: Mapping[str, Any],
) -> list[str]:
  """The paths of the modules, in the order of calls."""
  paths: list[str] = []

  def observe(call, args, kwargs, context):
    if context.method_name == "__call__":
      paths.append("/".join(context.module.path))
    return call(*args, **kwargs)

  def run(variables: Tree, args: tuple[Any, ...]) -> Any:
    streams = {name: jax.random.key(0) for name in model.scope.rngs}
    unbound = model.clone(parent=None, name=None)
    return unbound.apply(
      variables, *args, **kwargs, method=method, mutable=True, rngs=streams
    )

  with nn.intercept_methods(observe):
    jax.eval_shape(run, model.variables, args)
  return paths
