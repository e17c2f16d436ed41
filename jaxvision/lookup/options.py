"""Values of options, checked and converted by type and range.

`convert` accepts the text of a command line: true, false and none in any case,
unless the parameter takes text. NumPy numbers become Python numbers. Standard
library only, so that reading a config needs neither JAX nor NumPy.
"""

import collections.abc
import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union

from jaxvision.lookup.ranges import Form, Range

# The largest finite float32 and int32. Larger floats become infinity on the
# device; larger integers overflow.
_LARGEST = 3.4028234663852886e38
_LARGEST_INTEGER = 2**31 - 1
WORDS = {"true": True, "false": False, "none": None}
_DTYPES = ("float32", "bfloat16", "float16", "float64")
_UNRESOLVED = (str, typing.TypeVar, typing.ForwardRef)
_SHOWN = 60  # characters of a wrong value


class Dtype:
  """Stands for the dtype of arrays, which may be given by name."""


def convert(value: Any, expected: Any, *, name: str) -> Any:
  """Checks a value and converts it to the expected type.

  Args:
    value: from a config, a command line or a program.
    expected: a type as in an annotation. `Annotated` may add a `Range` or a
      `Form`.
    name: the name of the option, for messages.

  Raises:
    ValueError: the value has another type, or is out of range.
  """
  value = plain(value)
  members = _members(expected)
  for member in members:
    if _fits(value, member.type):
      return _convert_member(value, member, name)
  raise ValueError(_message(name, value, expected))


def plain(value: Any) -> Any:
  """Converts NumPy numbers and arrays to Python values, also nested ones."""
  if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
    value = value.tolist()
    return tuple(value) if isinstance(value, list) else value
  if type(value) in (tuple, list):
    return type(value)(map(plain, value))
  if type(value) is dict:
    return {key: plain(each) for key, each in value.items()}
  return value


def describe(expected: Any) -> str:
  """Describes a type in English: "a number in [0, 1)"."""
  words = dict.fromkeys(
    _describe_member(member) for member in _members(expected)
  )
  if "a number" in words:
    words.pop("a whole number", None)
  if "none" in words:
    words["none"] = words.pop("none")  # as the last one
  return " or ".join(words)


_ANY = Range()


@dataclasses.dataclass(frozen=True)
class _Member:
  """One type of a union, with the range and form from `Annotated`."""

  type: Any
  range: Range = _ANY
  form: Form | None = None


def _members(expected: Any) -> list[_Member]:
  """The types of a union, ordered so that more specific types come first."""
  found = _flat(expected, _ANY, None)
  kinds = {_key(member.type) for member in found}
  if complex in kinds:  # ArrayLike: only a number can be written in a config.
    others = [
      member
      for member in found
      if not isinstance(member.type, type) or member.type in (str, type(None))
    ]
    found = [_Member(int), _Member(float), *others]
  if str in kinds and any(_is_dtype(each) for each in kinds):
    none = [member for member in found if member.type is type(None)]
    found = [_Member(Dtype), *none]
  order = {type(None): 0, bool: 1, int: 2, float: 3}
  return sorted(found, key=lambda member: order.get(_key(member.type), 4))


def _flat(expected: Any, limits: Range, form: Form | None) -> list[_Member]:
  origin = typing.get_origin(expected)
  if origin is Annotated:
    inner, *said = typing.get_args(expected)
    for each in said:
      limits = each if isinstance(each, Range) else limits
      form = each if isinstance(each, Form) else form
    return _flat(inner, limits, form)
  if origin in (Union, types.UnionType):
    return [
      member
      for each in typing.get_args(expected)
      for member in _flat(each, limits, form)
    ]
  if expected is None:
    expected = type(None)
  return [_Member(expected, limits, form)]


def _is_dtype(expected: Any) -> bool:
  return getattr(expected, "__name__", "") in ("dtype", "SupportsDType")


def _key(expected: Any) -> Any:
  return expected if isinstance(expected, type) else None


def _fits(value: Any, expected: Any) -> bool:
  """Whether a value matches a type; elements of sequences are not checked."""
  word = value.strip().lower() if isinstance(value, str) else ""
  origin = typing.get_origin(expected) or expected
  if expected is Any or isinstance(expected, _UNRESOLVED):
    return True
  if expected is type(None):
    return value is None or word == "none"
  if expected is bool:
    return isinstance(value, bool) or word in ("true", "false")
  if expected in (int, float):
    return _is_number(value, whole=expected is int)
  if expected is Dtype:
    return isinstance(value, str) or _names_dtype(value)
  if origin is Literal:
    return _choice(value, expected) is not None
  if origin is collections.abc.Callable:
    return callable(value)
  if origin in (tuple, list, collections.abc.Sequence):
    return isinstance(value, tuple | list)
  if origin in (dict, collections.abc.Mapping):
    return isinstance(value, Mapping)
  if origin is type:
    return isinstance(value, type)
  return _is_instance(value, origin)


def _is_instance(value: Any, expected: Any) -> bool:
  try:
    return isinstance(value, expected)
  except TypeError:  # Not a runtime type, such as a protocol.
    return True


def _is_number(value: Any, *, whole: bool) -> bool:
  if isinstance(value, bool):
    return False
  if isinstance(value, numbers.Integral if whole else numbers.Real):
    return True
  # A JAX scalar, on the device or traced.
  return hasattr(value, "aval") and getattr(value, "shape", None) == ()


def _names_dtype(value: Any) -> bool:
  return isinstance(value, type) or hasattr(value, "dtype")


def _choice(value: Any, expected: Any) -> tuple[Any] | None:
  """The choice of a Literal that a value, or its text, selects."""
  choices = typing.get_args(expected)
  word = value.strip().lower() if isinstance(value, str) else None
  for each in choices:
    if type(each) is type(value) and each == value:
      return (each,)
  if word in WORDS and WORDS[word] in choices:
    return (WORDS[word],)
  return None


def _convert_member(value: Any, member: _Member, name: str) -> Any:
  """Converts a value to a type that it matches."""
  expected = member.type
  origin = typing.get_origin(expected) or expected
  if expected in (bool, type(None)):
    return WORDS[value.strip().lower()] if isinstance(value, str) else value
  if expected in (int, float):
    return _number(value, member, name)
  if expected is str:
    return _text(value, member, name)
  if expected is Dtype:
    return _dtype(value, name)
  if origin is Literal:
    return _choice(value, expected)[0]
  if origin in (tuple, list, collections.abc.Sequence):
    return _sequence(value, expected, name)
  return value


def _number(value: Any, member: _Member, name: str) -> Any:
  if not isinstance(value, numbers.Real):
    return value
  if member.type is float:
    is_finite = abs(value) <= _LARGEST
    is_right = is_finite and value in member.range
    converted = float(value) if is_finite else value
  else:
    is_bounded = member.range.high < math.inf
    is_right = value in member.range and (
      is_bounded or abs(value) <= _LARGEST_INTEGER
    )
    converted = int(value)
  if not is_right:
    raise ValueError(_message(name, value, member))
  return converted


def _text(value: str, member: _Member, name: str) -> str:
  if member.form:
    try:
      member.form.check(value)
    except ValueError as error:
      raise ValueError(f"{name}: {error}") from error
  return str(value)


def _dtype(value: Any, name: str) -> Any:
  if isinstance(value, str) and value not in _DTYPES:
    raise ValueError(
      f"{name} is {_shown(value)}; it must be one of {', '.join(_DTYPES)}"
    )
  return value


def _sequence(value: Sequence[Any], expected: Any, name: str) -> Sequence[Any]:
  """Converts a tuple or list and its elements."""
  parts = typing.get_args(expected)
  origin = typing.get_origin(expected)
  if not parts:
    return value if expected is list else tuple(value)
  if origin is tuple and parts[-1:] != (Ellipsis,):
    if len(value) != len(parts):
      raise ValueError(_message(name, value, expected))
  else:
    parts = (parts[0],) * len(value)
  return (list if origin is list else tuple)(
    convert(each, part, name=f"{name}[{place}]")
    for place, (each, part) in enumerate(zip(value, parts, strict=True))
  )


def _message(name: str, value: Any, expected: Any) -> str:
  member = expected if isinstance(expected, _Member) else None
  words = _describe_member(member) if member else describe(expected)
  hint = _hint(value, [member] if member else _members(expected))
  return f"{name} is {_shown(value)}; it must be {words}{hint}"


def _shown(value: Any) -> str:
  text = repr(value) if not isinstance(value, int) else _digits(value)
  return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _digits(value: int) -> str:
  """Python refuses to print integers of thousands of digits."""
  return repr(value) if abs(value) < 10**50 else "a number of over 50 digits"


def _hint(value: Any, members: Sequence[_Member]) -> str:
  kinds = {_key(member.type) for member in members}
  if isinstance(value, numbers.Real) and not abs(value) <= _LARGEST:
    return ", and finite"
  is_bounded = any(member.range.high < math.inf for member in members)
  if type(value) is int and abs(value) > _LARGEST_INTEGER and not is_bounded:
    return f", and at most {_LARGEST_INTEGER}"
  if (
    isinstance(value, tuple)
    and len(value) == 2
    and kinds & {int, float}
    and all(type(each) is int for each in value)
  ):
    return f"; write a decimal point: {value[0]}.{value[1]}"
  is_single = isinstance(value, str | int | float) and not kinds & {int, float}
  if is_single and any(_is_long(member.type) for member in members):
    return f", as in ({_shown(value)},)"
  return ""


def _describe_member(member: _Member) -> str:
  expected, limits = member.type, str(member.range)
  simple = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: member.form.words if member.form else "text",
    type(None): "none",
    Dtype: f"one of {', '.join(_DTYPES)}",
  }
  if _key(expected) in simple:
    words = simple[expected]
    return f"{words} {limits}" if limits and expected is not str else words
  origin = typing.get_origin(expected) or expected
  parts = [each for each in typing.get_args(expected) if each is not Ellipsis]
  if origin is Literal:
    return f"one of {', '.join(map(repr, parts))}"
  if origin in (tuple, list, collections.abc.Sequence):
    return _describe_sequence(expected, parts)
  if origin is collections.abc.Callable:
    return "a function"
  if origin in (dict, collections.abc.Mapping):
    return "a dictionary"
  name = getattr(origin, "__name__", str(origin))
  return f"of the type {name.rpartition('.')[2]}"


def _is_long(expected: Any) -> bool:
  """Whether a type describes sequences of any length."""
  origin, parts = typing.get_origin(expected), typing.get_args(expected)
  is_sequence = origin in (list, collections.abc.Sequence)
  return is_sequence or (origin is tuple and Ellipsis in parts)


def _describe_sequence(expected: Any, parts: Sequence[Any]) -> str:
  if not parts:
    return "a tuple"
  if _is_long(expected):
    return f"a tuple in which each element is {describe(parts[0])}"
  return f"a tuple of {len(parts)}: {', '.join(map(describe, parts))}"
