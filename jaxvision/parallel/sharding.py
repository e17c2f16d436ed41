"""Sharding rules: how a training state is distributed over a mesh.

A rule is `(pattern, layout)` over the paths of parameters, see
`trees.match_rules`. A layout is

  "replicate"        the parameter is replicated on all devices;
  "fsdp"             the largest axis that the mesh's axis "fsdp" divides is
                     split along it. "fsdp(min_size=65536)" splits parameters
                     with at least 65536 elements (default 16384);
  (None, "fsdp")     the mesh axis of each axis of the parameter, as in
                     `jax.sharding.PartitionSpec`.

The optimizer state and the moving average of a parameter have its sharding.
Everything else, such as batch statistics, is replicated.

Activations stay split along the batch for any sharding of the parameters.
Otherwise XLA may move activations instead of parameters, which is slower on
many devices.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxvision import lookup, trees
from jaxvision.lookup import ranges
from jaxvision.parallel import arrays

Tree = Any
Layout = str | tuple[Any, ...]
Rules = Sequence[tuple[str, Layout]]

WHERE = "mesh.rules"


def of_state(state: Tree, params: Tree, mesh: Mesh, *, rules: Rules) -> Tree:
  """Returns the shardings of a state, as a tree.

  Args:
    state: tree of arrays or shapes. A leaf belongs to a parameter if its path
      ends with the path of the parameter and its shape is equal.
    params: the parameters, or their shapes.
    mesh: the mesh.
    rules: see above.

  Raises:
    ValueError: a rule matches nothing, a parameter has no rule, or a layout
      does not fit. The message has the parameter and the remedy.
  """
  specs = _specs(params, mesh, rules)
  shapes = {path: leaf.shape for path, leaf in trees.flatten(params).items()}

  def of_leaf(path: str, leaf: Any) -> NamedSharding:
    owner = _owner(path, specs)
    if owner is None or shapes[owner] != leaf.shape:
      return arrays.replicated(mesh)
    return NamedSharding(mesh, specs[owner])

  leaves = [of_leaf(*each) for each in trees.flatten(state).items()]
  return jax.tree.unflatten(jax.tree.structure(state), leaves)


def splits(mesh: Mesh, rules: Rules) -> bool:
  """Whether any parameter is split."""
  own = any(not isinstance(layout, str) for _, layout in rules)
  return own or mesh.shape.get("fsdp", 1) > 1


def split(params: Tree, mesh: Mesh, *, rules: Rules) -> Tree:
  """Constrains the sharding of parameters and their gradients to the rules.

  Call it under jit, inside the differentiated function.
  """
  if not splits(mesh, rules):
    return params
  return jax.lax.with_sharding_constraint(
    params, of_state(params, params, mesh, rules=rules)
  )


def _owner(path: str, specs: dict[str, PartitionSpec]) -> str | None:
  """The longest suffix of a path that is the path of a parameter."""
  while path not in specs:
    _, slash, path = path.partition("/")
    if not slash:
      return None
  return path


def _specs(params: Tree, mesh: Mesh, rules: Rules) -> dict[str, PartitionSpec]:
  """{path: mesh axes along which the parameter is split}."""
  layouts = trees.match_rules(rules, params, where=WHERE)
  is_layout = lambda each: isinstance(each, str | tuple)  # noqa: E731
  return {
    path: _spec(path, leaf.shape, layout, mesh)
    for (path, leaf), layout in zip(
      trees.flatten(params).items(),
      jax.tree.leaves(layouts, is_leaf=is_layout),
      strict=True,
    )
  }


def _spec(
  path: str, shape: tuple[int, ...], layout: Layout, mesh: Mesh
) -> PartitionSpec:
  if not isinstance(layout, str):
    return _checked(path, shape, PartitionSpec(*layout), mesh)
  known = {"replicate": _replicate, "fsdp": _fsdp}
  choose = lookup.call(layout, functions=known, kind=f"{WHERE} layout")
  return choose(shape, mesh)


def _replicate() -> Callable[[tuple[int, ...], Mesh], PartitionSpec]:
  return lambda shape, mesh: PartitionSpec()


def _fsdp(
  min_size: ranges.Whole = 2**14,
) -> Callable[[tuple[int, ...], Mesh], PartitionSpec]:
  def choose(shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    count = mesh.shape.get("fsdp", 1)
    axes = [i for i, size in enumerate(shape) if size and size % count == 0]
    if count == 1 or math.prod(shape) < min_size or not axes:
      return PartitionSpec()
    largest = max(axes, key=lambda i: shape[i])
    return PartitionSpec(*[None] * largest, "fsdp")

  return choose


def _checked(
  path: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh
) -> PartitionSpec:
  """Returns the spec, after checks of its axes against the parameter."""
  problem = f"{WHERE}: {tuple(spec)} for {path} of shape {shape}"
  if len(spec) > len(shape):
    raise ValueError(f"{problem} has too many axes; remove some")
  for size, names in zip(shape, spec, strict=False):
    names = names if isinstance(names, tuple) else (names,) if names else ()
    if unknown := set(names) - set(mesh.axis_names):
      raise ValueError(
        f"{problem} has the unknown axis {', '.join(sorted(unknown))}; the "
        f"mesh has {', '.join(mesh.axis_names)}"
      )
    count = math.prod(mesh.shape[name] for name in names)
    if size % count:
      raise ValueError(
        f"{problem}: {size} is not a multiple of the {count} devices along "
        f"{', '.join(names)}; split another axis, or none"
      )
  return spec


def moments_by_device(mesh: Mesh) -> contextlib.AbstractContextManager:
  """A context in which batch normalisation sums statistics per device first.

  The sums of the devices are then exchanged once per layer; the statistics are
  those of the complete batch.

  Args:
    mesh: the mesh of the batch.
  """
  gather = functools.partial(
    jax.lax.with_sharding_constraint, shardings=arrays.replicated(mesh)
  )

  def interceptor(call, args, kwargs, context):
    if context.method_name != "moments":
      return call(*args, **kwargs)
    return call(*args, **kwargs, devices=mesh.size, gather=gather)

  return nn.intercept_methods(interceptor)


def batch_split(
  batch_size: int, mesh: Mesh
) -> contextlib.AbstractContextManager:
  """A context in which inputs and outputs of modules stay split over the mesh.

  It applies to arrays whose first axis is the batch; others are not changed.

  Args:
    batch_size: examples of the batch.
    mesh: the mesh of the batch.
  """
  sharding = arrays.batch_sharding(mesh)

  def split(x: Any) -> Any:
    if getattr(x, "ndim", 0) < 2 or x.shape[0] != batch_size:
      return x
    return jax.lax.with_sharding_constraint(x, sharding)

  def interceptor(call, args, kwargs, context):
    if context.method_name != "__call__":
      return call(*args, **kwargs)
    return jax.tree.map(split, call(*jax.tree.map(split, args), **kwargs))

  return nn.intercept_methods(interceptor)
