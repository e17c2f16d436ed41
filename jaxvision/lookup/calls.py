"""Function calls written as text in a config: "random_crop(padding=4)".

Arguments are Python literals. true, false and none are accepted in any case. No
code is evaluated. The types and ranges of the arguments are those of the
function's parameters. A user-defined function is called as
"my_aug.py:random_shift(pixels=4)".
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxvision import user_code
from jaxvision.lookup import options, spelling


def call(
  text: str, *, functions: Mapping[str, Callable[..., Any]], kind: str
) -> Any:
  """Calls one of `functions`, as the text specifies.

  Args:
    text: "name(1, option=(2, 3))"; "name" is the same as "name()".
    functions: the callable functions, by name.
    kind: the kind of function, for messages: "host transform".

  Returns:
    The return value of the function.

  Raises:
    ValueError: the text is not a call with literal arguments, the function is
      unknown, or the function does not accept the arguments.
  """
  if user_code.is_own(text):
    own = user_code.function(user_code.head(text), kind=kind)
    arguments = text.strip().removeprefix(user_code.head(text))
    functions = {user_code.name_of(text): own}
    text = user_code.name_of(text) + arguments
  name, positional, named = _parse(text, kind)
  if name not in functions:
    raise ValueError(spelling.unknown(kind, name, list(functions)))
  where = f"{kind} {text!r}"
  bound = spelling.bind(functions[name], named, where, positional=positional)
  try:
    inspect.signature(functions[name]).bind(*positional, **named)
    return bound()
  except (TypeError, ValueError) as error:
    signature = inspect.signature(functions[name])
    names = ", ".join(map(spelling.written, signature.parameters.values()))
    raise ValueError(
      f"{where}: {error}; the signature is {name}({names})"
    ) from error


def split(text: str) -> tuple[str, ...]:
  """Splits a list of calls such as "knn(k=20),lda" into the calls."""
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
  except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
    raise ValueError(f"{problem}: {error}") from error
  if isinstance(node, ast.Name):
    return node.id, [], {}
  if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
    raise ValueError(problem)
  try:
    positional = [_literal(each) for each in node.args]
    named = {each.arg: _literal(each.value) for each in node.keywords}
  except (ValueError, TypeError) as error:
    raise ValueError(
      f"{problem}: arguments must be numbers, text or tuples of them"
    ) from error
  if None in named:
    raise ValueError(f"{problem}: ** is not supported")
  return node.func.id, positional, named


def literal(text: str) -> Any:
  """Parses a literal; true, false and none may be lower case.

  Raises:
    ValueError: the text is not a literal.
  """
  try:
    return _literal(ast.parse(text.strip(), mode="eval").body)
  except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
    raise ValueError(f"{text!r} is not a literal: {error}") from error


def _literal(node: ast.expr) -> Any:
  if isinstance(node, ast.Name) and node.id.lower() in options.WORDS:
    return options.WORDS[node.id.lower()]
  if isinstance(node, ast.Tuple | ast.List):
    kind = tuple if isinstance(node, ast.Tuple) else list
    return kind(map(_literal, node.elts))
  if isinstance(node, ast.Dict) and all(node.keys):
    return dict(
      zip(map(_literal, node.keys), map(_literal, node.values), strict=True)
    )
  return ast.literal_eval(node)
