"""Function calls written as text in a config: "random_crop(padding=4)".

Arguments are Python literals; nothing is evaluated.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import spelling


def call(
  text: str, *, functions: Mapping[str, Callable[..., Any]], kind: str
) -> Any:
  """Calls one of `functions` as the text says.

  Args:
    text: "name(1, option=(2, 3))"; "name" is the same as "name()".
    functions: what can be called, by name.
    kind: what the functions are, for the messages: "host transform".

  Returns:
    What the function returns.

  Raises:
    ValueError: not a call with literal arguments, an unknown function, or
      arguments that it does not take.
  """
  name, positional, named = _parse(text, kind)
  if name not in functions:
    raise ValueError(spelling.unknown(kind, name, list(functions)))
  where = f"{kind} {text!r}"
  bound = spelling.bind(functions[name], named, where)
  try:
    inspect.signature(functions[name]).bind(*positional, **named)
    return bound(*positional)
  except (TypeError, ValueError) as error:
    signature = inspect.signature(functions[name])
    names = ", ".join(str(each) for each in signature.parameters.values())
    raise ValueError(f"{where}: {error}; it is {name}({names})") from error


def split(text: str) -> tuple[str, ...]:
  """Returns the calls of a list such as "knn(k=20),lda"."""
  calls, depth = [""], 0
  for letter in text:
    depth += (letter in "([") - (letter in ")]")
    if letter == "," and depth == 0:
      calls.append("")
    else:
      calls[-1] += letter
  return tuple(call.strip() for call in calls if call.strip())


def _parse(text: str, kind: str) -> tuple[str, list[Any], dict[str, Any]]:
  problem = f"{kind} {text!r} is not a call like 'name(1, option=2)'"
  try:
    node = ast.parse(text.strip(), mode="eval").body
  except SyntaxError as error:
    raise ValueError(f"{problem}: {error.msg}") from error
  if isinstance(node, ast.Name):
    return node.id, [], {}
  if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
    raise ValueError(problem)
  try:
    positional = [ast.literal_eval(each) for each in node.args]
    named = {each.arg: ast.literal_eval(each.value) for each in node.keywords}
  except ValueError as error:
    raise ValueError(
      f"{problem}: arguments must be numbers, text or tuples of them"
    ) from error
  if None in named:
    raise ValueError(f"{problem}: ** is not possible here")
  return node.func.id, positional, named
