"""Error messages for misspelt names, with the nearest known names.

Standard library only, so that reading a config does not need JAX. The functions
return messages, except `bind`, which raises.
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
  """Returns up to `n` known names that are similar to `name`, best match first.

  Args:
    name: the name that was given.
    known: the valid names.
    n: maximum number of names.

  Returns:
    Text such as `'resnet50', 'resnet101'`; empty if no name is similar.
  """
  by_lower_case = {each.lower(): each for each in known}
  matches = difflib.get_close_matches(name.lower(), by_lower_case, n, 0.5)
  return ", ".join(repr(by_lower_case[match]) for match in matches)


def unknown(kind: str, name: str, known: Collection[str]) -> str:
  """Returns the message for a name that does not exist.

  Args:
    kind: the kind of name, such as "model".
    name: the name that was given.
    known: the valid names.

  Returns:
    Text such as `unknown model 'resnt18'; did you mean 'resnet18'? known: ...`.
    At most 40 known names are listed.
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
  """Returns `function` with `options` bound; rejects unknown options.

  Each option is checked against the type of its parameter and converted to it
  by `jaxvision.lookup.options`. No other code does this.

  Args:
    function: a function, a dataclass or a Linen module. The parameters of the
      last two are their fields. A function with `**kwargs` accepts every
      option.
    options: keyword arguments by name.
    where: the config key of the options, such as "loss.options".
    positional: values of the first parameters.
    reserved: parameters that the caller sets itself, so that they are not
      options. The value is the remedy, such as "set optimizer.learning_rate".
    types: types of parameters whose function does not declare ranges, such as a
      function of another library.

  Returns:
    `functools.partial(function, *positional, **options)` with converted values.

  Raises:
    ValueError: an option is unknown or reserved, has the wrong type, or is out
      of range. For an unknown option, the message names the nearest parameter
      and lists all parameters with their defaults.
  """
  reserved = reserved or {}
  signature = inspect.signature(function)
  for name in options:
    if name in reserved:
      raise ValueError(f"{where}: {name!r} is not an option; {reserved[name]}")
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
  """Converts the first arguments; the call itself reports surplus arguments."""
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
  """Converts a value to the type of its parameter, or to that of `**kwargs`."""
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
  """Returns the default of each parameter that has one."""
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
