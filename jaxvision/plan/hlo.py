"""The text of a compiled program, taken apart, and how often each part is run.

XLA prints a program as computations of instructions, each of one result,
  %sum = f32[8,4]{1,0} add(%a, %b), metadata={...}
of which some call other computations. Loops are computations, too: `while` has
a condition and a body, and a counter among the values that it carries.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping

ENTRY = "ENTRY"  # What the computation is called here that is run.

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_CALLED = re.compile(
  r"(?:calls|to_apply|body|condition|\w+_computations?)="
  r"(?:\{([^}]*)\}|%?([\w.\-]+))"
)
# What gives back a number as it is.
_SAME = ("copy", "convert", "bitcast", "reshape", "copy-start", "copy-done")


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a program.

  Attributes:
    shape: of the result, as text: "f32[8,4]{1,0}", or several in brackets.
    kind: "add", "while", "all-reduce-start", ...
    operands: names of instructions of the same computation.
    rest: all that comes after the kind, operands included.
    root: whether it is what the computation returns.
  """

  shape: str
  kind: str
  operands: tuple[str, ...]
  rest: str
  root: bool


Computation = Mapping[str, Instruction]
Program = Mapping[str, Computation]


def parse(text: str) -> Program:
  """Returns the computations by name, and in them the instructions by name.

  Args:
    text: of a compiled program, as `jax.stages.Compiled.as_text` gives it.
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
  """The names up to the bracket that closes; types may stand before them."""
  depth = 1
  for end, letter in enumerate(rest):
    depth += (letter in "({[") - (letter in ")}]")
    if not depth:
      return re.findall(r"%([\w.\-]+)", rest[:end])
  return []


def times(program: Program) -> Counter[str]:
  """How often each computation is run in one run of the program.

  Of a conditional all branches count.
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
  """How often a loop runs: as XLA notes it, or by its counter.

  A loop of which nothing is known counts once.
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
  """Which of the values that a loop carries an instruction takes."""
  place = re.search(r"\bindex=(\d+)", instruction.rest)
  is_taken = instruction.kind == "get-tuple-element"
  return int(place[1]) if is_taken and place else None


def _number(computation: Computation, name: str) -> int | None:
  """The whole number that an instruction is; None where it is computed."""
  instruction = computation[name]
  while instruction.kind in _SAME:
    instruction = computation[instruction.operands[0]]
  value = re.match(r"(-?\d+)\)", instruction.rest)
  return int(value[1]) if instruction.kind == "constant" and value else None


def _step(body: Computation, name: str) -> int:
  """What a loop adds to its counter."""
  instruction = body[name]
  while instruction.kind in _SAME:
    instruction = body[instruction.operands[0]]
  if instruction.kind != "add":
    return 1
  numbers = [_number(body, each) for each in instruction.operands]
  return next((each for each in numbers if each), 1)
