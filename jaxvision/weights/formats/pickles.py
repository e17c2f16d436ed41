"""Pickles, read by an interpreter that can only build plain data.

A pickle is a program for a stack machine. The interpreter of the standard
library imports any object that the program names and calls it, so a pickle can
run any code. This interpreter does not import and does not call what a pickle
names. It builds dicts, lists, tuples, sets, numbers, texts and bytes. Any name
of an object must be in a table of the caller, with the function that builds
its replacement. The module `pickle` is not imported.

Opcodes and their arguments: Lib/pickletools.py of CPython. Those of protocol 0,
which write numbers as text, are not supported: torch never writes them.

Time and memory are linear in the size of the pickle. Nested values that share
their parts are never copied, compared, hashed or printed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxvision.weights.formats.stack_machine import (
  Callee,
  Machine,
  pairs,
  simple,
)

_NEWEST_PROTOCOL = 5
_MOST_INSTRUCTIONS = 1 << 22  # 30,000 tensors need one million


def load(
  content: memoryview,
  *,
  callees: Mapping[str, Callee],
  persistent: Callable[[Any], Any],
) -> tuple[Any, int]:
  """Builds the value of the first pickle of some bytes.

  Args:
    content: the bytes; other bytes may follow the pickle.
    callees: {"module.name": replacement} of the objects that it may name.
    persistent: persistent identifier -> value.

  Returns:
    (value, number of bytes of the pickle).

  Raises:
    ValueError: the pickle is damaged, names another object, or has an
      instruction that is not supported.
  """
  machine = Machine(content, callees, persistent)
  for _ in range(_MOST_INSTRUCTIONS):
    code = machine.instruction()
    if code == _STOP:
      return machine.result(), machine.position
    if code not in _INSTRUCTIONS:
      raise ValueError(
        f"its pickle has the instruction {code:#04x} at byte "
        f"{machine.position - 1:,}, which is damaged or not supported"
      )
    _INSTRUCTIONS[code](machine)
  raise ValueError(
    f"its pickle has more than {_MOST_INSTRUCTIONS:,} instructions, which is "
    "too many for weights"
  )


def _protocol(machine: Machine) -> None:
  number = machine.number("B")
  if number > _NEWEST_PROTOCOL:
    raise ValueError(
      f"its pickle has protocol {number}; at most {_NEWEST_PROTOCOL} is known"
    )


def _push(make: Callable[[], Any]) -> Callable[[Machine], None]:
  return lambda machine: machine.push(make())


def _number(form: str) -> Callable[[Machine], None]:
  return lambda machine: machine.push(machine.number(form))


def _sized(
  build: Callable[[Machine, int], None], form: str, **options: Any
) -> Callable[[Machine], None]:
  """An instruction whose argument is a length or an index."""
  return lambda machine: build(machine, machine.number(form), **options)


def _of_mark(build: Callable[[list[Any]], Any]) -> Callable[[Machine], None]:
  """An instruction that builds a value from the values since the last mark."""
  return lambda machine: machine.push(build(machine.pop_to_mark()))


def _bytes(machine: Machine, length: int) -> None:
  machine.push(bytes(machine.take(length)))


def _byte_array(machine: Machine, length: int) -> None:
  machine.push(bytearray(machine.take(length)))


_LATIN = {"encoding": "latin-1"}  # the `str` of Python 2
_STOP = ord(".")
_INSTRUCTIONS: dict[int, Callable[[Machine], None]] = {
  0x80: _protocol,
  0x95: lambda machine: machine.number("<Q"),  # FRAME
  # The stack and the stored values.
  ord("("): Machine.mark,
  ord("0"): Machine.pop_one_or_mark,
  ord("1"): Machine.pop_to_mark,  # POP_MARK
  ord("2"): lambda machine: machine.push(machine.top()),  # DUP
  ord("q"): _sized(Machine.store, "B"),  # BINPUT
  ord("r"): _sized(Machine.store, "<L"),  # LONG_BINPUT
  0x94: Machine.memoize,
  ord("h"): _sized(Machine.recall, "B"),  # BINGET
  ord("j"): _sized(Machine.recall, "<L"),  # LONG_BINGET
  # Numbers.
  ord("N"): _push(lambda: None),
  0x88: _push(lambda: True),
  0x89: _push(lambda: False),
  ord("J"): _number("<i"),  # BININT
  ord("K"): _number("B"),  # BININT1
  ord("M"): _number("<H"),  # BININT2
  0x8A: _sized(Machine.integer, "B"),  # LONG1
  0x8B: _sized(Machine.integer, "<i"),  # LONG4
  ord("G"): _number(">d"),  # BINFLOAT
  # Texts and bytes.
  ord("X"): _sized(Machine.text, "<L"),  # BINUNICODE
  0x8C: _sized(Machine.text, "B"),  # SHORT_BINUNICODE
  0x8D: _sized(Machine.text, "<Q"),  # BINUNICODE8
  ord("T"): _sized(Machine.text, "<i", **_LATIN),  # BINSTRING
  ord("U"): _sized(Machine.text, "B", **_LATIN),  # SHORT_BINSTRING
  ord("B"): _sized(_bytes, "<L"),  # BINBYTES
  ord("C"): _sized(_bytes, "B"),  # SHORT_BINBYTES
  0x8E: _sized(_bytes, "<Q"),  # BINBYTES8
  0x96: _sized(_byte_array, "<Q"),  # BYTEARRAY8
  # Containers.
  ord("}"): _push(dict),
  ord("]"): _push(list),
  ord(")"): _push(tuple),
  0x8F: _push(set),
  ord("t"): _of_mark(tuple),
  0x85: lambda machine: machine.push(tuple(machine.last(1))),
  0x86: lambda machine: machine.push(tuple(machine.last(2))),
  0x87: lambda machine: machine.push(tuple(machine.last(3))),
  ord("l"): _of_mark(list),
  ord("d"): _of_mark(pairs),
  0x91: _of_mark(lambda values: frozenset(map(simple, values))),
  ord("a"): lambda machine: machine.append([machine.pop()]),
  ord("e"): lambda machine: machine.append(machine.pop_to_mark()),
  ord("s"): lambda machine: machine.set_items(machine.last(2)),
  ord("u"): lambda machine: machine.set_items(machine.pop_to_mark()),
  0x90: lambda machine: machine.add_items(machine.pop_to_mark()),
  # Objects.
  ord("c"): Machine.named_in_lines,  # GLOBAL
  0x93: Machine.named_on_stack,  # STACK_GLOBAL
  ord("R"): Machine.call,  # REDUCE
  0x81: Machine.call,  # NEWOBJ
  ord("b"): Machine.set_state,  # BUILD
  ord("Q"): Machine.resolve,  # BINPERSID
}
