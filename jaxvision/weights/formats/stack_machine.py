"""The stack machine that a pickle is a program for.

It builds plain data and calls the replacements of objects in a table; it has no
way to reach any other object.
"""

import dataclasses
import struct
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision.weights.formats.array_file import Refused

_LARGEST_INTEGER = 16  # bytes; torch's magic number has 10
_LARGEST_KEY = 10_000  # characters
_LARGEST_NAME = 1000  # bytes of an object's name
_LARGEST_INTEGER_KEY = 1 << 60  # larger integers can have equal hashes
_ALWAYS_COPIED = 1 << 20  # characters and elements in the arguments of calls


@dataclasses.dataclass(frozen=True, eq=False)
class Callee:
  """The replacement of an object that a pickle names.

  Attributes:
    name: its name, such as "collections.OrderedDict".
    build: function of the arguments; None if the pickle may not call it.
  """

  name: str
  build: Callable[..., Any] | None = None


class Machine:
  """The stack, the stored values and the position in a pickle."""

  def __init__(
    self,
    content: memoryview,
    callees: Mapping[str, Callee],
    persistent: Callable[[Any], Any],
  ):
    self.position = 0
    self._content = content
    self._callees = callees
    self._persistent = persistent
    self._stack: list[Any] = []
    self._marks: list[int] = []
    self._memo: dict[int, Any] = {}
    self._left_to_copy = len(content) + _ALWAYS_COPIED

  def result(self) -> Any:
    """Returns the only value on the stack."""
    if len(self._stack) != 1 or self._marks:
      raise ValueError(
        f"its pickle ends with {len(self._stack)} values; expected 1"
      )
    return self._stack[0]

  def instruction(self) -> int:
    """Returns the code of the next instruction."""
    if self.position >= len(self._content):
      raise ValueError("its pickle has no end")
    self.position += 1
    return self._content[self.position - 1]

  def take(self, count: int) -> memoryview:
    """Returns the next bytes."""
    found = self._content[self.position : self.position + count]
    if len(found) != count:
      raise ValueError(
        f"its pickle needs {count:,} bytes at {self.position:,}, but only "
        f"{len(found):,} follow"
      )
    self.position += count
    return found

  def number(self, form: str) -> Any:
    """Returns the next number, in a form of `struct`."""
    return struct.unpack(form, self.take(struct.calcsize(form)))[0]

  def _line(self) -> str:
    """Returns the text up to the end of the line."""
    start = self._content[self.position : self.position + _LARGEST_NAME]
    end = bytes(start).find(b"\n")
    if end < 0:
      raise ValueError("its pickle has a name without an end")
    self.position += end + 1
    return str(start[:end], "utf-8")

  def push(self, value: Any) -> None:
    """Puts a value on the stack."""
    self._stack.append(value)

  def pop(self) -> Any:
    """Takes the last value since the last mark from the stack."""
    self._check_not_empty()
    return self._stack.pop()

  def top(self) -> Any:
    """Returns the last value since the last mark, which stays there."""
    self._check_not_empty()
    return self._stack[-1]

  def _check_not_empty(self) -> None:
    if len(self._stack) <= (self._marks[-1] if self._marks else 0):
      raise ValueError("its pickle takes a value from an empty stack")

  def _target(self, kind: type) -> Any:
    """Returns the container on top, which the pickle fills."""
    value = self.top()
    if type(value) is not kind:
      raise ValueError(
        f"its pickle fills a {type(value).__name__} as a {kind.__name__}"
      )
    return value

  def mark(self) -> None:
    """Marks the start of the elements of a container."""
    self._marks.append(len(self._stack))

  def pop_to_mark(self) -> list[Any]:
    """Takes all values since the last mark, and the mark."""
    if not self._marks:
      raise ValueError("its pickle ends a container that it did not start")
    start = self._marks.pop()
    found = self._stack[start:]
    del self._stack[start:]
    return found

  def pop_one_or_mark(self) -> None:
    """Discards the last value, or a mark without values after it."""
    if self._marks and self._marks[-1] == len(self._stack):
      self._marks.pop()
    else:
      self.pop()

  def store(self, index: int) -> None:
    """Stores the last value with a number."""
    self._memo[index] = self.top()

  def memoize(self) -> None:
    """Stores the last value with the next number."""
    self.store(len(self._memo))

  def recall(self, index: int) -> None:
    """Pushes a stored value."""
    if index not in self._memo:
      raise ValueError(f"its pickle uses the value {index:,} before it is set")
    self.push(self._memo[index])

  def integer(self, length: int) -> None:
    """Pushes an integer of some bytes."""
    if not 0 <= length <= _LARGEST_INTEGER:
      raise ValueError(
        f"its pickle has an integer of {length:,} bytes; at most "
        f"{_LARGEST_INTEGER} are allowed"
      )
    self.push(int.from_bytes(self.take(length), "little", signed=True))

  def text(self, length: int, *, encoding: str = "utf-8") -> None:
    """Pushes a text of some bytes."""
    if length < 0:
      raise ValueError(f"its pickle has a text of {length} bytes")
    self.push(str(self.take(length), encoding))

  def last(self, count: int) -> list[Any]:
    """Takes the last values, in their order."""
    return [self.pop() for _ in range(count)][::-1]

  def append(self, values: list[Any]) -> None:
    """Adds values to the list on top."""
    self._target(list).extend(values)

  def set_items(self, values: list[Any]) -> None:
    """Adds keys and values in turn to the dict on top."""
    self._target(dict).update(pairs(values))

  def add_items(self, values: list[Any]) -> None:
    """Adds elements to the set on top."""
    self._target(set).update(map(simple, values))

  def named(self, module: Any, name: Any) -> None:
    """Pushes the replacement of an object."""
    if type(module) is not str or type(name) is not str:
      raise ValueError("its pickle names an object by something else than text")
    known = self._callees.get(f"{module}.{name}")
    if known is None:
      raise refusal(f"{module}.{name}")
    self.push(known)

  def named_in_lines(self) -> None:
    """Pushes the replacement of the object named in the next two lines."""
    module = self._line()
    self.named(module, self._line())

  def named_on_stack(self) -> None:
    """Pushes the replacement of the object named on the stack."""
    name = self.pop()
    self.named(self.pop(), name)

  def call(self) -> None:
    """Builds the value of a call of a replacement."""
    arguments = self.pop()
    callee = self.pop()
    if type(callee) is not Callee or type(arguments) is not tuple:
      raise ValueError("its pickle calls a value that cannot be called")
    if callee.build is None:
      raise refusal(f"{callee.name}(...)")
    self._count_copied(arguments)
    try:
      self.push(callee.build(*arguments))
    except TypeError as error:
      raise ValueError(
        f"its pickle calls {callee.name} with other arguments than torch"
      ) from error

  def _count_copied(self, arguments: tuple[Any, ...]) -> None:
    """A call copies its arguments, which the pickle could store and repeat."""
    self._left_to_copy -= len(arguments)
    for each in arguments:
      if type(each) in (str, bytes, bytearray, list, tuple, dict, set):
        self._left_to_copy -= len(each)
    if self._left_to_copy < 0:
      raise ValueError("its pickle copies the same values again and again")

  def set_state(self) -> None:
    """Leaves out attributes, such as the `_metadata` of a state dict."""
    self.pop()
    self._target(dict)

  def resolve(self) -> None:
    """Replaces a persistent identifier by its value."""
    self.push(self._persistent(self.pop()))


def refusal(name: str) -> Refused:
  """Returns the error of an object that is not in the table."""
  return Refused(
    f"it needs the Python object {name[:200]!r}, which could run code and is "
    "refused. A file with the tensors only can be read: in Python, "
    "torch.save(model.state_dict(), FILE)"
  )


def pairs(values: list[Any]) -> dict[Any, Any]:
  """Returns the dict of keys and values in turn.

  Raises:
    ValueError: the last key has no value, or a key is not simple.
  """
  if len(values) % 2:
    raise ValueError("its pickle has a key without a value")
  keys = map(simple, values[::2])
  return dict(zip(keys, values[1::2], strict=True))


def simple(value: Any) -> Any:
  """Returns a key of a dict or an element of a set.

  Hashing a tuple of shared tuples takes exponential time, and comparing long
  texts or integers with equal hashes takes quadratic time.

  Raises:
    ValueError: the value is not a short text, a number or None.
  """
  kind = type(value)
  if (
    kind in (float, bool, type(None))
    or (kind is int and abs(value) < _LARGEST_INTEGER_KEY)
    or (kind in (str, bytes) and len(value) <= _LARGEST_KEY)
  ):
    return value
  raise ValueError(
    f"its pickle has a {kind.__name__} as a key or an element of a set; "
    "expected a short text or a number"
  )
