"""Batched initialisation: equal operations of a function become one operation.

A network draws hundreds of kernels of a few shapes. XLA:CPU compiles a random
generator for each kernel, which takes a minute for the largest NASNet. Batched,
there is one generator per shape. The random bits are equal, and the values are
equal up to rounding.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxvision.xla import traced

Tree = Any

# Number of values of one result above which operations are not batched: the
# computation takes longer than the compilation, and a batch needs twice the
# memory.
_LARGE = 2**20


@dataclasses.dataclass(frozen=True)
class _Part:
  """A value in a stack of values along the first axis."""

  stack: jax.Array
  index: int


_Value = _Part | jax.Array
_Values = dict[core.Var, _Value]


def jit(function: Callable[[], Tree], **options: Any) -> Callable[[], Tree]:
  """Returns `jax.jit` of a function that draws many arrays and runs once.

  On CPU, equal operations are batched and the optimization level is lower. On
  other platforms it is plain `jax.jit`.

  Args:
    function: a function without arguments, such as a model's initialisation.
    **options: options of `jax.jit`.
  """
  if jax.default_backend() != "cpu":
    return jax.jit(function, **options)
  compiler_options = {"xla_backend_optimization_level": 1}
  return jax.jit(
    lambda: evaluate(function), compiler_options=compiler_options, **options
  )


def evaluate(function: Callable[[], Tree]) -> Tree:
  """Evaluates function() with equal operations batched; call it under jit.

  Operations that the result does not need are skipped. Operations without
  inputs are not batched.
  """
  closed, shape = jax.make_jaxpr(function, return_shape=True)()
  constants = zip(closed.jaxpr.constvars, closed.consts, strict=True)
  values: _Values = dict(constants)
  pending = _needed(closed.jaxpr)
  texts = {}
  while pending:
    groups: dict[Any, list[core.JaxprEqn]] = {}
    waiting = []
    for equation in pending:
      if all(var in values for var in _variables(equation)):
        groups.setdefault(_signature(equation, texts), []).append(equation)
      else:
        waiting.append(equation)
    for equations in groups.values():
      for batch in _batches(equations):
        values |= dict(_compute(batch, values))
    pending = waiting
  outputs = [_read(each, values) for each in closed.jaxpr.outvars]
  return jax.tree.unflatten(jax.tree.structure(shape), outputs)


def _batches(
  equations: list[core.JaxprEqn],
) -> list[list[core.JaxprEqn]]:
  """The batches of equations: one batch, or single equations if large."""
  size = max(var.aval.size for var in equations[0].outvars)
  if size <= _LARGE:
    return [equations]
  return [[equation] for equation in equations]


def _needed(jaxpr: core.Jaxpr) -> list[core.JaxprEqn]:
  """The equations that the outputs depend on, in order."""
  wanted, equations = set(map(id, jaxpr.outvars)), []
  for equation in reversed(jaxpr.eqns):
    if any(id(var) in wanted for var in equation.outvars):
      wanted |= set(map(id, equation.invars))
      equations.append(equation)
  return equations[::-1]


def _variables(equation: core.JaxprEqn) -> list[core.Var]:
  return [x for x in equation.invars if not isinstance(x, core.Literal)]


def _signature(equation: core.JaxprEqn, texts: dict[int, str]) -> Any:
  """A key that is equal for equations that can be batched."""

  def text(value: Any) -> str:
    if not isinstance(value, (core.Jaxpr, core.ClosedJaxpr)):
      return str(value)
    # Printing is slow, and most are the same object. The jaxpr keeps it alive.
    if id(value) not in texts:
      texts[id(value)] = str(value)
    return texts[id(value)]

  inputs = tuple((type(x).__name__, str(x.aval)) for x in equation.invars)
  parameters = tuple((k, text(v)) for k, v in equation.params.items())
  return equation.primitive.name, inputs, parameters


def _compute(
  equations: Sequence[core.JaxprEqn], values: _Values
) -> Iterator[tuple[core.Var, _Value]]:
  """Yields the outputs of equations that differ in their inputs only."""
  first = equations[0]
  columns = [
    _column([equation.invars[i] for equation in equations], values)
    for i in range(len(first.invars))
  ]
  axes = [axis for _, axis in columns]
  inputs = [stack for stack, _ in columns]

  def function(*inputs: jax.Array) -> Sequence[jax.Array]:
    return traced.bind(first, inputs)

  if all(axis is None for axis in axes):
    outputs = function(*inputs)
    for equation in equations:
      yield from zip(equation.outvars, outputs, strict=True)
    return
  outputs = jax.vmap(function, in_axes=axes)(*inputs)
  for index, equation in enumerate(equations):
    for var, stack in zip(equation.outvars, outputs, strict=True):
      yield var, _Part(stack, index)


def _column(
  atoms: Sequence[core.Var | core.Literal], values: _Values
) -> tuple[jax.Array, int | None]:
  """One input of all equations, and its batch axis or None."""
  if isinstance(atoms[0], core.Literal):
    literals = np.stack([np.asarray(a.val, a.aval.dtype) for a in atoms])
    same = (literals == literals[0]).all()
    return (literals[0], None) if same else (literals, 0)
  if len({id(atom) for atom in atoms}) == 1:
    return _materialized(values[atoms[0]]), None
  return _stack([values[atom] for atom in atoms]), 0


def _stack(parts: Sequence[_Value]) -> jax.Array:
  """Stacks values; values of the same stack are indexed from it."""
  first = parts[0]
  if not all(
    isinstance(part, _Part) and part.stack is first.stack for part in parts
  ):
    return jnp.stack([_materialized(part) for part in parts])
  indices = [part.index for part in parts]
  if indices == list(range(len(first.stack))):
    return first.stack
  return first.stack[np.asarray(indices)]


def _read(atom: core.Var | core.Literal, values: _Values) -> jax.Array:
  if isinstance(atom, core.Literal):
    return jnp.asarray(atom.val, atom.aval.dtype)
  return _materialized(values[atom])


def _materialized(value: _Value) -> jax.Array:
  return value.stack[value.index] if isinstance(value, _Part) else value
