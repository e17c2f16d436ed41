"""How a training state lies on a mesh: rules over the paths of parameters.

A rule is `(pattern, layout)`, see `trees.match_rules`. A layout is

  "replicate"        the parameter is whole on every device;
  "fsdp"             its largest axis that the mesh's axis "fsdp" divides is
                     split along it, "fsdp(min_size=65536)" where it has at
                     least so many elements (16384 if not said);
  (None, "fsdp")     what each axis of the parameter is split along, as in
                     `jax.sharding.PartitionSpec`.

What the optimizer keeps of a parameter and its moving average lie as it does.
Everything else, such as batch statistics, is whole everywhere.

Values that are computed stay split along the batch, whatever the parameters
are: otherwise XLA may find it cheaper to move them than the parameters, which
no longer holds on many devices.
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
  """Returns the shardings of a state, a tree like it.

  Args:
    state: tree of arrays or their shapes. A leaf whose path ends with that of a
      parameter and which has its shape belongs to it.
    params: the parameters, or their shapes.
    mesh: what they shall lie on.
    rules: see above.

  Raises:
    ValueError: a rule that decides nothing, a parameter that none does, or a
      layout that does not fit; names the parameter and what would fit.
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
  """Whether parameters are split at all."""
  own = any(not isinstance(layout, str) for _, layout in rules)
  return own or mesh.shape.get("fsdp", 1) > 1


def split(params: Tree, mesh: Mesh, *, rules: Rules) -> Tree:
  """Returns the parameters, which lie, as do their gradients, by the rules.

  Call it under jit, and differentiate what comes after it.
  """
  if not splits(mesh, rules):
    return params
  return jax.lax.with_sharding_constraint(
    params, of_state(params, params, mesh, rules=rules)
  )


def _owner(path: str, specs: dict[str, PartitionSpec]) -> str | None:
  """The longest ending of a path that is a parameter's."""
  while path not in specs:
    _, slash, path = path.partition("/")
    if not slash:
      return None
  return path


def _specs(params: Tree, mesh: Mesh, rules: Rules) -> dict[str, PartitionSpec]:
  """By path, along which axes of the mesh a parameter is split."""
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
  """The spec, if its axes exist and divide those of the parameter."""
  problem = f"{WHERE}: {tuple(spec)} for {path} of shape {shape}"
  if len(spec) > len(shape):
    raise ValueError(f"{problem} has more axes than that; leave some out")
  for size, names in zip(shape, spec, strict=False):
    names = names if isinstance(names, tuple) else (names,) if names else ()
    if unknown := set(names) - set(mesh.axis_names):
      raise ValueError(
        f"{problem} names {', '.join(sorted(unknown))}; the mesh has "
        f"{', '.join(mesh.axis_names)}"
      )
    count = math.prod(mesh.shape[name] for name in names)
    if size % count:
      raise ValueError(
        f"{problem}: {size} is no multiple of the {count} devices along "
        f"{', '.join(names)}; split another axis, or none"
      )
  return spec


def moments_by_device(mesh: Mesh) -> contextlib.AbstractContextManager:
  """In it, batch normalisations take their statistics device by device.

  What the devices have found is exchanged once, as means of the whole batch
  would be.

  Args:
    mesh: that shares the batch.
  """
  gather = functools.partial(
    jax.lax.with_sharding_constraint, shardings=arrays.replicated(mesh)
  )

  def interceptor(call, args, kwargs, context):
    if context.method_name != "moments" or mesh.size == 1:
      return call(*args, **kwargs)
    return call(*args, **kwargs, devices=mesh.size, gather=gather)

  return nn.intercept_methods(interceptor)


def batch_split(
  batch_size: int, mesh: Mesh
) -> contextlib.AbstractContextManager:
  """In it, what modules are called with and return stays split over the mesh.

  Only where its first axis is the batch; whatever else it is stays as it is.

  Args:
    batch_size: examples that the model is applied to.
    mesh: that shares them.
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
