"""Misspelt names: what was probably meant, and what there is to choose from.

Standard library only, so that what reads configs needs no JAX. The functions
build messages, except `bind`, which raises.
"""

import difflib
import functools
import inspect
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from jaxvision.lookup import parameters as declared
from jaxvision.lookup.options import convert

# A Linen module has these two fields besides its hyper-parameters.
_LINEN_FIELDS = ("parent", "name")
_LISTED = 40  # names; a longer list hides more than it shows


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
  """Returns the up to `n` known names most like `name`, quoted, best first.

  Args:
    name: what was written.
    known: the names that would have been right.
    n: how many names at most.

  Returns:
    Text such as `'resnet50', 'resnet101'`; empty if no name is at all alike.
  """
  by_lower_case = {each.lower(): each for each in known}
  matches = difflib.get_close_matches(name.lower(), by_lower_case, n, 0.5)
  return ", ".join(repr(by_lower_case[match]) for match in matches)


def unknown(kind: str, name: str, known: Collection[str]) -> str:
  """Returns the message for a name that does not exist.

  Args:
    kind: what the name should be the name of, such as "model".
    name: what was written.
    known: the names that would have been right.

  Returns:
    Text such as `unknown model 'resnt18'; did you mean 'resnet18'? known: ...`
    where at most 40 known names are listed.
  """
  matches = nearest(name, known)
  question = f"; did you mean {matches}?" if matches else ";"
  listed = ", ".join(sorted(known)[:_LISTED]) or "none"
  rest = f", ... ({len(known)} in all)" if len(known) > _LISTED else ""
  return f"unknown {kind} {name!r}{question} known: {listed}{rest}"


def bind(
  function: Callable[..., Any],
  options: Mapping[str, Any],
  where: str,
  *,
  positional: Sequence[Any] = (),
  reserved: Mapping[str, str] | None = None,
  types: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
  """Returns `function` with `options` bound, all of which it must know.

  Each is checked against the type of its parameter and converted to it, as
  `jaxvision.lookup.options` says; here and nowhere else.

  Args:
    function: a function, or a dataclass or Linen module, whose parameters are
      then its fields. One that takes `**kwargs` accepts every option.
    options: keyword arguments by name.
    where: the config key that holds the options, such as "loss.options".
    positional: values of the first parameters.
    reserved: parameters that are not options because the caller gives them;
      each with what to do instead, such as "set optimizer.learning_rate".
    types: of parameters whose function does not declare their ranges, as those
      of another library.

  Returns:
    `functools.partial(function, *positional, **options)`, with the values as
    their types have them.

  Raises:
    ValueError: an option is unknown or reserved, for which the message names
      the nearest parameter and lists all parameters with their defaults; or its
      value is of the wrong type or out of its range.
  """
  reserved = reserved or {}
  signature = inspect.signature(function)
  for name in options:
    if name in reserved:
      raise ValueError(f"{where}: {name!r} is no option; {reserved[name]}")
  parameters = {
    name: parameter
    for name, parameter in signature.parameters.items()
    if name not in reserved and not _is_linen_field(function, name)
  }
  kinds = {parameter.kind for parameter in parameters.values()}
  if inspect.Parameter.VAR_KEYWORD not in kinds:
    known = [written(parameter) for parameter in parameters.values()]
    for name in options:
      if name not in parameters:
        matches = nearest(name, parameters)
        question = f"; did you mean {matches}?" if matches else ";"
        raise ValueError(
          f"{where}: {function.__name__} has no option {name!r}{question} "
          f"options: {', '.join(known) or 'none'}"
        )
  expected = {**declared.types(function), **(types or {})}
  return functools.partial(
    function,
    *_positional(signature, positional, expected, where),
    **{
      name: _converted(name, value, signature, expected, where)
      for name, value in options.items()
    },
  )


def _positional(
  signature: inspect.Signature,
  values: Sequence[Any],
  expected: Mapping[str, Any],
  where: str,
) -> list[Any]:
  """The values of the first parameters; a surplus is left to the call."""
  names = [
    name
    for name, parameter in signature.parameters.items()
    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
  ]
  return [
    _converted(name, value, signature, expected, where)
    for name, value in itertools.zip_longest(names[: len(values)], values)
  ]


def _converted(
  name: str | None,
  value: Any,
  signature: inspect.Signature,
  expected: Mapping[str, Any],
  where: str,
) -> Any:
  """The value as its parameter has it; free keywords have a type together."""
  if name not in signature.parameters:
    free = [
      each.name
      for each in signature.parameters.values()
      if each.kind is inspect.Parameter.VAR_KEYWORD
    ]
    kind = expected[free[0]] if free else Any
  else:
    kind = expected[name]
  return convert(value, kind, name=f"{where}: {name}")


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
  """Returns the parameters that have a default, and what it is."""
  return {
    name: parameter.default
    for name, parameter in inspect.signature(function).parameters.items()
    if parameter.default is not inspect.Parameter.empty
    and not _is_linen_field(function, name)
  }


def _is_linen_field(function: Callable[..., Any], name: str) -> bool:
  return name in _LINEN_FIELDS and hasattr(function, "init_with_output")


def written(parameter: inspect.Parameter) -> str:
  """Returns a parameter with its default, without its type: "padding=4"."""
  if parameter.default is inspect.Parameter.empty:
    return parameter.name
  default = parameter.default
  shown = default.__name__ if callable(default) else repr(default)
  return f"{parameter.name}={shown}"
