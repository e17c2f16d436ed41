"""One batched program for several programs that differ only in numbers.

A hyper-parameter is a Python float. The code may compare it, invert it, or skip
an operation if it is 0. On the device it is a number in the traced program.
Therefore each program is traced with its own numbers, and the traces are
compared. The numbers that differ become an argument of one program. The traced
code needs no changes. Programs with other differences are detected.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxvision.xla import convolutions, traced

# Primitives that call another program -> the parameter with that program.
_CALLS = {
  "jit": "jaxpr",
  "pjit": "jaxpr",
  "closed_call": "call_jaxpr",
  "core_call": "call_jaxpr",
  "custom_jvp_call": "call_jaxpr",
  "custom_vjp_call": "call_jaxpr",
  "custom_vjp_call_jaxpr": "fun_jaxpr",
  "checkpoint": "jaxpr",
  "remat2": "jaxpr",
}
# Primitives whose programs may have numbers of their own, see `_compute`.
_BODIES = ("scan", "cond")
# Primitives that place an array; the placement of the batch replaces them.
_PLACES = ("sharding_constraint", "device_put")


class Different(Exception):
  """Programs differ in more than numbers; the message tells the difference."""


@dataclasses.dataclass(frozen=True)
class Lifted:
  """One program for several.

  Attributes:
    numbers: arrays (n, ...), the numbers that differ between the n programs.
    call: (one row of each array of `numbers`, flat arguments) -> flat results.
    convolves: whether the program has convolutions.
  """

  numbers: tuple[np.ndarray, ...]
  call: Callable[[Sequence[jax.Array], Sequence[jax.Array]], list[jax.Array]]
  convolves: bool


def lift(programs: Sequence[core.ClosedJaxpr]) -> Lifted:
  """Makes one program from several programs that differ only in numbers.

  Args:
    programs: from `jax.make_jaxpr`, at least one.

  Raises:
    Different: the programs have different operations or shapes.
  """
  numbers: list[np.ndarray] = []
  places: dict[int, int] = {}
  for place, values in enumerate(_side_by_side(programs)):
    _require([np.shape(value) for value in values], "the shape of a constant")
    if not all(_equal(value, values[0]) for value in values[1:]):
      places[place] = len(numbers)
      numbers.append(np.stack([np.asarray(value) for value in values]))
  first = programs[0]

  def call(rows, arguments):
    differing = {place: rows[row] for place, row in places.items()}
    return _evaluate(first, arguments, _Numbers(differing))

  return Lifted(tuple(numbers), call, _convolves(first))


class _Numbers:
  """The numbers of one of the programs, in the order of `_side_by_side`.

  Attributes:
    differing: by place, those that are not equal in all programs.
    place: of the next number.
  """

  def __init__(self, differing: Mapping[int, jax.Array], place: int = 0):
    self.differing, self.place = differing, place

  def __call__(self, value: Any) -> Any:
    """The next number; `value` if it is equal in all programs."""
    self.place += 1
    return self.differing.get(self.place - 1, value)

  def copy(self) -> "_Numbers":
    return _Numbers(self.differing, self.place)

  def skip(self, program: core.ClosedJaxpr) -> None:
    """Moves to the first number after a program."""
    self.place += sum(1 for _ in _side_by_side([program]))


def _convolves(program: core.ClosedJaxpr) -> bool:
  return any(
    equation.primitive.name == "conv_general_dilated"
    or any(map(_convolves, _programs_in(list(equation.params.values()))))
    for equation in program.jaxpr.eqns
  )


def _side_by_side(
  programs: Sequence[core.ClosedJaxpr],
) -> Iterator[tuple[Any, ...]]:
  """Yields the constants and literals of all programs, place by place.

  The order is that of `_evaluate`.
  """
  constants = [program.consts for program in programs]
  _require([len(each) for each in constants], "the number of constants")
  yield from zip(*constants, strict=True)
  jaxprs = [program.jaxpr for program in programs]
  _require([len(jaxpr.eqns) for jaxpr in jaxprs], "the number of operations")
  names: list[dict[core.Var, int]] = [{} for _ in programs]
  _require(
    [
      _named((*jaxpr.constvars, *jaxpr.invars), known)
      for jaxpr, known in zip(jaxprs, names, strict=True)
    ],
    "the arguments",
  )
  for equations in zip(*(jaxpr.eqns for jaxpr in jaxprs), strict=True):
    _require([each.primitive.name for each in equations], "an operation")
    pairs = list(zip(equations, names, strict=True))
    _require([_named(e.invars, known) for e, known in pairs], "an input")
    _require([_named(e.outvars, known) for e, known in pairs], "a result")
    yield from _literals([each.invars for each in equations])
    yield from _of_parameters(equations)
  pairs = list(zip(jaxprs, names, strict=True))
  _require([_named(j.outvars, known) for j, known in pairs], "the results")
  yield from _literals([jaxpr.outvars for jaxpr in jaxprs])


def _of_parameters(
  equations: Sequence[core.JaxprEqn],
) -> Iterator[tuple[Any, ...]]:
  inner = _CALLS.get(equations[0].primitive.name)
  if inner:
    yield from _side_by_side([_closed(e.params[inner]) for e in equations])
    return
  has_numbers = equations[0].primitive.name in _BODIES
  for key in equations[0].params:
    values = [equation.params[key] for equation in equations]
    parts = [_programs_in(value) for value in values]
    if not parts[0]:
      _require([str(value) for value in values], key)
      continue
    _require([len(part) for part in parts], key)
    for programs in zip(*parts, strict=True):
      for found in _side_by_side(programs):
        if has_numbers:
          yield found
        else:  # these numbers cannot become arguments
          _require([np.asarray(value).tobytes() for value in found], key)


def _programs_in(value: Any) -> list[core.ClosedJaxpr]:
  return list(map(_closed, traced.programs_in(value)))


def _closed(program: core.ClosedJaxpr | core.Jaxpr) -> core.ClosedJaxpr:
  if isinstance(program, core.ClosedJaxpr):
    return program
  return core.ClosedJaxpr(program, ())


def _named(
  atoms: Sequence[Any], known: dict[core.Var, int]
) -> list[tuple[int, Any]]:
  """The number and the type of each atom.

  Variables are numbered by their first appearance. Literals have the number -1.
  """
  return [
    (-1, atom.aval)
    if isinstance(atom, core.Literal)
    else (known.setdefault(atom, len(known)), atom.aval)
    for atom in atoms
  ]


def _literals(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
  for atoms in zip(*rows, strict=True):
    if isinstance(atoms[0], core.Literal):
      yield tuple(np.asarray(a.val, a.aval.dtype) for a in atoms)


def _require(values: Sequence[Any], what: str) -> None:
  for value in values[1:]:
    if value != values[0]:
      raise Different(f"{what}: {values[0]} and {value}")


def _equal(a: Any, b: Any) -> bool:
  return a is b or np.asarray(a).tobytes() == np.asarray(b).tobytes()


def _evaluate(
  program: core.ClosedJaxpr,
  arguments: Sequence[Any],
  number: _Numbers,
) -> list[Any]:
  """Evaluates a program with `number(value)` in place of each number."""
  jaxpr, values = program.jaxpr, {}
  # Constants come before arguments, in the order of `_side_by_side`.
  constants = [number(value) for value in program.consts]
  for names, given in ((jaxpr.constvars, constants), (jaxpr.invars, arguments)):
    values.update(zip(names, given, strict=True))

  def read(atoms: Sequence[Any]) -> list[Any]:
    return [
      number(jnp.asarray(atom.val, atom.aval.dtype))
      if isinstance(atom, core.Literal)
      else values[atom]
      for atom in atoms
    ]

  for equation in jaxpr.eqns:
    inputs = read(equation.invars)
    outputs = _compute(equation, inputs, number)
    values.update(zip(equation.outvars, outputs, strict=True))
  return read(jaxpr.outvars)


def _compute(
  equation: core.JaxprEqn, inputs: list[Any], number: _Numbers
) -> Sequence[Any]:
  name = equation.primitive.name
  if name in _CALLS:
    inner = _closed(equation.params[_CALLS[name]])
    return _evaluate(inner, inputs, number)
  if name == "scan":
    return _scan(equation.params, inputs, number)
  if name == "cond":
    return _branch(equation.params["branches"], inputs, number)
  if name in _PLACES:
    return inputs
  if name == "conv_general_dilated" and jax.default_backend() == "cpu":
    return [convolutions.convolve(equation.params, *inputs)]
  return traced.bind(equation, inputs)


def _scan(
  params: Mapping[str, Any], inputs: list[Any], number: _Numbers
) -> list[Any]:
  """A loop, with the numbers of its body as constants of the loop."""
  constants, carried = params["num_consts"], params["num_carry"]
  program, start, end = params["jaxpr"], number.copy(), constants + carried

  def body(carry: list[Any], given: list[Any]) -> tuple[list[Any], list[Any]]:
    # It may be traced more than once.
    found = _evaluate(
      program, [*inputs[:constants], *carry, *given], start.copy()
    )
    return found[:carried], found[carried:]

  carry, outputs = jax.lax.scan(
    body,
    inputs[constants:end],
    inputs[end:],
    length=params["length"],
    reverse=params["reverse"],
    unroll=params["unroll"],
  )
  number.skip(program)
  return [*carry, *outputs]


def _branch(
  branches: Sequence[core.ClosedJaxpr], inputs: list[Any], number: _Numbers
) -> list[Any]:
  """The branch that data choose, with the numbers of all branches."""
  choice, *given = inputs
  functions = []
  for program in branches:
    functions.append(functools.partial(_from, program, number.copy()))
    number.skip(program)
  return jax.lax.switch(choice, functions, *given)


def _from(
  program: core.ClosedJaxpr, start: _Numbers, *arguments: Any
) -> list[Any]:
  return _evaluate(program, arguments, start.copy())
