"""The types that the parameters of a function declare.

The annotation of a parameter declares its type. Without an annotation, the type
is that of the default:

  dropout: ranges.Probability = 0.0
  hidden: tuple[ranges.Count, ...] = (512, 512)
  positions: Literal["learned", "none"] = "learned"
  nesterov: bool = False
"""

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

from jaxvision.lookup.options import Dtype


def types(function: Callable[..., Any]) -> dict[str, Any]:
  """Returns the type of each parameter by name; Any for undeclared types.

  Args:
    function: a function, a partial, a dataclass or a Linen module.
  """
  hints = _hints(function)
  return {
    name: _declared(name, parameter, hints.get(name, parameter.annotation))
    for name, parameter in inspect.signature(function).parameters.items()
  }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
  """The annotations; those written as text are resolved where possible."""
  while isinstance(function, functools.partial):
    function = function.func
  try:
    return typing.get_type_hints(function, include_extras=True)
  except Exception:  # An annotation may name an undefined type.
    return {}


def _declared(name: str, parameter: inspect.Parameter, annotation: Any) -> Any:
  """The type of a parameter, from its annotation or its default."""
  default = parameter.default
  if name == "dtype" or name.endswith("_dtype"):
    return Dtype | None if default is None else Dtype
  is_annotated = annotation is not inspect.Parameter.empty
  if is_annotated and not isinstance(annotation, str):
    return annotation
  if isinstance(default, bool | str):
    return type(default)
  if isinstance(default, int):
    return int | float  # A whole number stays an int: it may be a size.
  if isinstance(default, float):
    return float
  if isinstance(default, tuple | list):
    return tuple
  return (
    Callable if callable(default) and default is not parameter.empty else Any
  )
