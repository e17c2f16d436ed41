"""References to user-defined code in a config: "my_model.py:create(option=1)".

A reference may be the complete value (model.name), a call (transforms, probes,
suites), an argument of another call (random_apply), or an option (the
activation of a model). In a probe, a layer may precede it:
"layer4_1/my_probe.py:create".
"""

import ast
import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any

# (source, name) -> the text that replaces "source:name".
Replace = Callable[[str, str], str]

_MODULE = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_NAME = r"[A-Za-z_]\w*"
_KEY = r"[0-9a-f]{16}"
# A resolved reference, a path, or a module.
_SOURCE = rf"(?P<source>[^'\"(:]*?@{_KEY}|[^'\"(:]*?\.py|{_MODULE})"
_WHOLE = re.compile(
  rf"\s*(?P<source>[^/]+@{_KEY}|.+?\.py|{_MODULE}):(?P<name>{_NAME})\s*"
)
_AT_START = re.compile(rf"^\s*{_SOURCE}:(?P<name>{_NAME})(?=\s*(?:\(|$))")
_RESOLVED = re.compile(rf"[^'\"(/\s]*@({_KEY})(?=:{_NAME})")

_NAMES = ("model.name", "loss.name", "optimizer.name", "schedule.name")
_NAMES += ("task.name", "data.kind")
_OPTIONS = ("model.options", "loss.options", "optimizer.options")
_OPTIONS += ("schedule.options", "task.options")
_CALLS = ("data.train_transforms", "data.eval_transforms")
_CALLS += ("data.device_transforms", "evaluate.suites", "log.trackers")
_PROBES = "evaluate.probes"
_SOURCES = "data.sources"  # of a mixture: (weight, kind, name, split) of each


def is_own(name: Any) -> bool:
  """Whether a name is a reference to user-defined code: it contains a colon."""
  return isinstance(name, str) and ":" in head(name)


def head(call: str) -> str:
  """The text before the arguments: "my_aug.py:f" of "my_aug.py:f(1)"."""
  found = _AT_START.match(call)
  return found[0].strip() if found else call.partition("(")[0].strip()


def name_of(reference: str) -> str:
  """The name of the function: "create" of "my_model.py:create(depth=3)"."""
  return head(reference).rpartition(":")[2]


def split(reference: str) -> tuple[str, str]:
  """Splits "my_model.py:create" into ("my_model.py", "create").

  Raises:
    ValueError: the reference names neither a file nor a module.
  """
  found = _WHOLE.fullmatch(reference)
  if not found:
    raise ValueError(
      f"{reference!r} names no function; write FILE.py:FUNCTION, as in "
      '"my_model.py:create", or MODULE:FUNCTION'
    )
  return found["source"], found["name"]


def key_of(source: str) -> str | None:
  """The key of the bundle in a resolved source; else None."""
  found = re.fullmatch(rf"[^/]*@({_KEY})", source)
  return found[1] if found else None


def rewrite(nested: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
  """Replaces all references in a nested config."""
  return _rewrite_group(nested, "", replace)


def _rewrite_group(
  group: Mapping[str, Any], prefix: str, replace: Replace
) -> dict[str, Any]:
  found = {}
  for name, value in group.items():
    key = prefix + name
    if key in _OPTIONS:
      found[name] = _anywhere(value, replace)
    elif hasattr(value, "items"):  # also those of ml_collections
      found[name] = _rewrite_group(value, f"{key}.", replace)
    elif key in _NAMES:
      found[name] = _whole(value, replace, key)
    elif key in _CALLS:
      found[name] = type(value)(_call(each, replace) for each in value)
    elif key == _PROBES:
      found[name] = type(value)(_layered(each, replace) for each in value)
    elif key == _SOURCES:
      found[name] = type(value)(_source(each, replace) for each in value)
    else:
      found[name] = value
  return found


def _whole(value: Any, replace: Replace, key: str) -> Any:
  if not is_own(value):
    return value
  try:
    source, name = split(value)
    return replace(source, name)
  except (ValueError, OSError) as error:
    raise type(error)(f"config key {key!r}: {error}") from error


def _anywhere(value: Any, replace: Replace) -> Any:
  if hasattr(value, "items"):
    return {k: _anywhere(each, replace) for k, each in value.items()}
  if isinstance(value, list | tuple):
    return type(value)(_anywhere(each, replace) for each in value)
  if isinstance(value, str) and _WHOLE.fullmatch(value):
    return replace(*split(value))
  return value


def _call(text: Any, replace: Replace) -> Any:
  if not isinstance(text, str):
    return text
  found = _AT_START.match(text)
  if found is None:
    name, bracket, rest = text.partition("(")
    return name + _arguments(bracket + rest, replace)
  called = replace(found["source"].strip(), found["name"])
  return called + _arguments(text[found.end() :], replace)


def _layered(text: Any, replace: Replace) -> Any:
  """Replaces a probe; path parts that belong to no file name a layer."""
  found = isinstance(text, str) and _AT_START.match(text)
  if not found:
    return _call(text, replace)
  *parts, last = found["source"].strip().split("/")
  rest = text[found.end("source") :]
  if key_of(last):
    return "/".join([*parts, _call(last + rest, replace)])
  for first in range(len(parts)):
    with contextlib.suppress(FileNotFoundError):
      path = "/".join([*parts[first:], last])
      return "/".join([*parts[:first], _call(path + rest, replace)])
  return "/".join([*parts, _call(last + rest, replace)])


def _arguments(text: str, replace: Replace) -> str:
  """Replaces the references in call arguments such as "(1, 'my_aug.py:f')"."""
  try:
    tree = ast.parse(f"f{text}", mode="eval")
  except (SyntaxError, ValueError, RecursionError):
    return text  # the caller of the function reports the error
  changed = False
  for node in ast.walk(tree):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
      value = _call(node.value, replace)
      changed |= value != node.value
      node.value = value
  return ast.unparse(tree)[1:] if changed else text


def _source(source: Any, replace: Replace) -> Any:
  if not isinstance(source, list | tuple) or len(source) < 2:
    return source
  weight, kind, *rest = source
  return type(source)((weight, _whole(kind, replace, _SOURCES), *rest))


def as_written(value: Any, written: Callable[[str], str | None]) -> Any:
  """Undoes `rewrite` in any nested value.

  Args:
    value: a nested value of dicts, lists, tuples, text and other objects.
    written: maps the key of a bundle to the name that the user has written;
      None if the key is unknown.
  """
  if isinstance(value, Mapping):
    return {k: as_written(each, written) for k, each in value.items()}
  if isinstance(value, list | tuple):
    return type(value)(as_written(each, written) for each in value)
  if isinstance(value, str):
    return _RESOLVED.sub(lambda found: written(found[1]) or found[0], value)
  return value
