"""Parser of HLO text, with the number of executions of each computation.

XLA prints a program as computations. A computation is a list of instructions,
  %sum = f32[8,4]{1,0} add(%a, %b), metadata={...}
and an instruction can call other computations. A `while` loop calls a condition
and a body; its counter is one of the carried values.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping

ENTRY = "ENTRY"  # Name of the main computation.

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_CALLED = re.compile(
  r"(?:calls|to_apply|body|condition|\w+_computations?)="
  r"(?:\{([^}]*)\}|%?([\w.\-]+))"
)
# Instructions that return their operand unchanged.
_SAME = ("copy", "convert", "bitcast", "reshape", "copy-start", "copy-done")


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a program.

  Attributes:
    shape: text of the result's shape: "f32[8,4]{1,0}", or a tuple of shapes.
    kind: "add", "while", "all-reduce-start", ...
    operands: names of instructions of the same computation.
    rest: the text after the kind, with the operands.
    root: whether it is the result of the computation.
  """

  shape: str
  kind: str
  operands: tuple[str, ...]
  rest: str
  root: bool


Computation = Mapping[str, Instruction]
Program = Mapping[str, Computation]


def parse(text: str) -> Program:
  """Returns {computation: {name: instruction}}.

  Args:
    text: the compiled program, from `jax.stages.Compiled.as_text`.
  """
  program, computation = {}, {}
  for line in text.splitlines():
    if head := _HEAD.match(line):
      computation = program.setdefault(ENTRY if head[1] else head[2], {})
    elif found := _LINE.match(line):
      root, name, shape, kind, rest = found.groups()
      computation[name] = Instruction(
        shape, kind, tuple(_operands(rest)), rest, bool(root)
      )
  return program


def _operands(rest: str) -> list[str]:
  """The names up to the closing bracket; types may precede them."""
  depth = 1
  for end, letter in enumerate(rest):
    depth += (letter in "({[") - (letter in ")}]")
    if not depth:
      return re.findall(r"%([\w.\-]+)", rest[:end])
  return []


def times(program: Program) -> Counter[str]:
  """The number of executions of each computation in one run of the program.

  All branches of a conditional are counted.
  """
  found = Counter()

  def add(name: str, number: int) -> None:
    found[name] += number
    for instruction in program[name].values():
      trips = 1
      if instruction.kind == "while":
        trips = _trips(program, program[name], instruction)
      for called in _called(instruction):
        if called in program:
          add(called, number * trips)

  add(ENTRY, 1)
  return found


def _called(instruction: Instruction) -> Iterator[str]:
  for several, one in _CALLED.findall(instruction.rest):
    yield from re.findall(r"[\w.\-]+", several) if several else (one,)


def _trips(
  program: Program, computation: Computation, loop: Instruction
) -> int:
  """The number of iterations of a loop, from XLA's note or from the counter.

  It is 1 for a loop without known limits.
  """
  if noted := re.search(r'known_trip_count"?:\{"n":"(\d+)"', loop.rest):
    return int(noted[1])
  condition = program[re.search(r"condition=%?([\w.\-]+)", loop.rest)[1]]
  body = program[re.search(r"body=%?([\w.\-]+)", loop.rest)[1]]
  test = _root(condition)
  if test.kind != "compare" or "direction=LT" not in test.rest:
    return 1
  counter, limit = test.operands
  place = _place(condition[counter])
  limit = _number(condition, limit)
  if place is None or limit is None:
    return 1
  values = computation[loop.operands[0]]
  first = _number(computation, values.operands[place]) or 0
  step = _step(body, _root(body).operands[place])
  return max(-(-(limit - first) // step), 0)


def _root(computation: Computation) -> Instruction:
  return next(each for each in computation.values() if each.root)


def _place(instruction: Instruction) -> int | None:
  """The index of the carried value that an instruction reads."""
  place = re.search(r"\bindex=(\d+)", instruction.rest)
  is_taken = instruction.kind == "get-tuple-element"
  return int(place[1]) if is_taken and place else None


def _number(computation: Computation, name: str) -> int | None:
  """The integer constant of an instruction; None if it is computed."""
  instruction = computation[name]
  while instruction.kind in _SAME:
    instruction = computation[instruction.operands[0]]
  value = re.match(r"(-?\d+)\)", instruction.rest)
  return int(value[1]) if instruction.kind == "constant" and value else None


def _step(body: Computation, name: str) -> int:
  """The increment of the counter of a loop."""
  instruction = body[name]
  while instruction.kind in _SAME:
    instruction = body[instruction.operands[0]]
  if instruction.kind != "add":
    return 1
  numbers = [_number(body, each) for each in instruction.operands]
  return next((each for each in numbers if each), 1)
