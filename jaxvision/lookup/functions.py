"""Functions by name: one of a table, or the user's own."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import user_code
from jaxvision.lookup import spelling


def find(
  name: str, functions: Mapping[str, Callable[..., Any]], *, kind: str
) -> Callable[..., Any]:
  """Returns the function called `name`.

  Args:
    name: a key of `functions`, or "FILE.py:FUNCTION".
    functions: the known functions, by name.
    kind: the kind of function, for messages: "activation".

  Raises:
    ValueError: the name is unknown; lists the nearest known names.
  """
  if user_code.is_own(name):
    return user_code.function(name, kind=kind)
  if name not in functions:
    raise ValueError(spelling.unknown(kind, name, functions))
  return functions[name]
