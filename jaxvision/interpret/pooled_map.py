"""Class activation mapping: the head's weights on the map that it pools.

It is for models whose logits are a linear layer of the mean over positions of a
map. The map is often the result of an activation, which is not a layer. So the
mean is found in the jaxpr of the model, and the map is its input.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.extend.core
import jax.numpy as jnp

from jaxvision.interpret import feature_maps, heat_maps, layers
from jaxvision.interpret.scores import Attribution

Tree = Any
# They change the type, or the shape by axes of length 1, or the scale.
_PASSED = ("convert_element_type", "copy", "reshape", "squeeze", "mul", "div")
# The axes of the positions of tokens (b, n, c) and of maps (b, h, w, c).
_POSITIONS = {3: (1,), 4: (1, 2)}


@dataclasses.dataclass(frozen=True)
class Head:
  """The last linear layer: its path, and the number of its call."""

  path: str
  call: int


def cam(
  *, sign: heat_maps.Sign = "positive", size: heat_maps.Size = "image"
) -> Attribution:
  """Class activation maps: sum over c of w[c, target] * A[c].

  Zhou et al. 2016, Learning Deep Features for Discriminative Localization,
  equation 2. The mean of a raw map plus the bias is the logit.

  Args:
    sign: "positive" replaces negative values by 0, "both" does not.
    size: "image" resizes to the images, "layer" keeps the size of the map.
  """
  return functools.partial(_compute, sign=sign, size=size)


@functools.partial(jax.jit, static_argnames=("model", "sign", "size"))
def _compute(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  sign: heat_maps.Sign,
  size: heat_maps.Size,
) -> jax.Array:
  features, kernel = pooled_map(model, variables, images)
  weights = kernel.T[targets].astype(jnp.float32)
  maps = jnp.einsum("bhwc,bc->bhw", features, weights)
  return heat_maps.finished(maps, images.shape[1:3], sign=sign, size=size)


def pooled_map(
  model: nn.Module, variables: Tree, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns the map whose mean the classifier reads, and its kernel.

  Returns:
    (b, rows, columns, c) float32 and (c, num_classes).

  Raises:
    ValueError: the logits are not a linear layer of a mean over positions.
  """
  model = layers.written_out(model)
  head = _head(model, variables, images)
  closed = jax.make_jaxpr(functools.partial(_head_input, model, head))(
    variables, images
  )
  pooled = _pooled(closed.jaxpr, closed.jaxpr.outvars[0])
  if not isinstance(pooled, jax.extend.core.Var):
    raise ValueError(_problem(model, f"{head.path!r} does not read a mean"))
  found = _value(closed, pooled, (variables, images))
  kernel = variables["params"]
  for name in (*head.path.split("/"), "kernel"):
    kernel = kernel[name]
  return _as_map(model, variables, images, found), kernel


def check(model: nn.Module, variables: Tree, images: Any) -> None:
  """Raises ValueError for a model that `cam` does not fit; traces only."""
  jax.eval_shape(functools.partial(pooled_map, model), variables, images)


def _problem(model: nn.Module, reason: str) -> str:
  return (
    f"cam needs logits that are a linear layer of a mean over positions, but "
    f"in {type(model).__name__} {reason} over the positions of a map"
  )


def _head(model: nn.Module, variables: Tree, images: Any) -> Head:
  """Finds the layer whose output the model returns as its logits."""
  heads = []

  def apply(variables: Tree, images: jax.Array) -> jax.Array:
    outputs = []

    def observe(call, args, kwargs, context):
      output = call(*args, **kwargs)
      module = context.module
      if context.method_name == "__call__" and module.path:
        outputs.append((module, output))
      return output

    with nn.intercept_methods(observe):
      logits = model.apply(variables, images, train=False)
    module, last = outputs[-1]
    if last is logits and isinstance(module, nn.Dense):
      times = sum(each.path == module.path for each, _ in outputs)
      heads.append(Head("/".join(module.path), times))
    return logits

  jax.eval_shape(apply, variables, images)
  if not heads:
    raise ValueError(_problem(model, "the logits are not a linear layer"))
  return heads[0]


def _head_input(
  model: nn.Module, head: Head, variables: Tree, images: jax.Array
) -> jax.Array:
  """Returns the input of the head, (b, c)."""
  received = []

  def observe(call, args, kwargs, context):
    is_call = context.method_name == "__call__"
    if is_call and "/".join(context.module.path) == head.path:
      received.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(observe):
    model.apply(variables, images, train=False)
  return received[head.call - 1]


def _pooled(jaxpr: Any, variable: Any) -> Any:
  """Returns the variable whose sum over positions `variable` is.

  Returns:
    A variable of the jaxpr, or None. Functions that are called in the jaxpr are
    entered, and left through their arguments.
  """
  summed, variable = _traced(jaxpr, variable, summed=False)
  return variable if summed else None


def _traced(jaxpr: Any, variable: Any, *, summed: bool) -> tuple[bool, Any]:
  """Follows a variable back to the input of the sum, or as far as possible."""
  made_by = {out: eqn for eqn in jaxpr.eqns for out in eqn.outvars}
  while not summed and variable in made_by:
    equation = made_by[variable]
    inner = _called(equation)
    if inner is not None:
      place = equation.outvars.index(variable)
      summed, inside = _traced(inner, inner.outvars[place], summed=False)
      if inside not in inner.invars:
        return False, None
      variable = equation.invars[inner.invars.index(inside)]
    elif equation.primitive.name == "reduce_sum":
      variable = equation.invars[0]
      summed = equation.params["axes"] == _POSITIONS.get(variable.aval.ndim)
      if not summed:
        return False, None
    elif _is_passed(equation):
      variable = equation.invars[0]
    else:
      return False, None
  return summed, variable


def _called(equation: Any) -> Any:
  """Returns the jaxpr of a jitted function, None for other equations."""
  closed = equation.params.get("jaxpr")
  is_jitted = equation.primitive.name in ("jit", "pjit")
  return closed.jaxpr if is_jitted else None


def _is_passed(equation: Any) -> bool:
  """Whether a value passes with its type, shape or scale changed only."""
  if equation.primitive.name not in _PASSED:
    return False
  scales = equation.invars[1:]
  before, after = (
    [side for side in each.aval.shape if side > 1]
    for each in (equation.invars[0], equation.outvars[0])
  )
  is_scale = all(isinstance(each, jax.extend.core.Literal) for each in scales)
  return before == after and is_scale


def _value(closed: Any, variable: Any, arguments: Sequence[Tree]) -> jax.Array:
  """Evaluates a variable of a jaxpr."""
  jaxpr = closed.jaxpr.replace(
    outvars=[variable], debug_info=closed.jaxpr.debug_info.with_unknown_names()
  )
  function = jax.extend.core.jaxpr_as_fun(
    jax.extend.core.ClosedJaxpr(jaxpr, closed.consts)
  )
  return function(*jax.tree.leaves(arguments))[0]


def _as_map(
  model: nn.Module, variables: Tree, images: jax.Array, pooled: jax.Array
) -> jax.Array:
  """Returns the pooled array as (b, rows, columns, c) float32."""
  pooled = pooled.astype(jnp.float32)
  if pooled.ndim == 4:
    return pooled
  grid = feature_maps.patch_grid(
    model, feature_maps.calls(model, variables, images)
  )
  if grid is None or grid.size != pooled.shape[1]:
    raise ValueError(_problem(model, "the head reads a mean that is not"))
  return pooled.reshape(len(pooled), grid.rows, grid.columns, -1)
