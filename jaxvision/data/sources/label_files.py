"""Small files with labels or class names: .cls, .txt and .json."""

import json
from collections.abc import Sequence
from typing import Any

from jaxvision.data.sources import labels


def from_text(content: bytes) -> str:
  """The clean label in a .cls or .txt file.

  Raises:
    ValueError: the content is not UTF-8.
  """
  text = labels.clean(content.decode("utf-8"))
  if text.startswith('"') and text.endswith('"') and len(text) > 1:
    try:
      return labels.clean(json.loads(text))
    except ValueError:
      return text
  return text


def from_json(content: bytes, keys: Sequence[str]) -> str | None:
  """The label in a .json file: the value, or the value of the first known key.

  Raises:
    ValueError: the content is not JSON, a key is repeated, or the value is
      neither an integer nor text.
  """
  there = _values(content, keys)
  if not there:
    return None
  found = there[0]
  if isinstance(found, bool) or not isinstance(found, int | str):
    raise ValueError(
      f"the label is {json.dumps(found)[:40]}; expected an integer from 0 or "
      "the name of a class"
    )
  return labels.clean(str(found))


def list_from_json(content: bytes, keys: Sequence[str]) -> list | None:
  """The list in a .json file: the value, or the value of the first known key.

  A single value becomes a list of one element.

  Raises:
    ValueError: the content is not JSON, a key is repeated, or an element is
      neither a number nor text.
  """
  there = _values(content, keys)
  if not there:
    return None
  found = there[0] if isinstance(there[0], list) else [there[0]]
  for each in found:
    if isinstance(each, bool) or not isinstance(each, int | float | str):
      raise ValueError(
        f"the label has {json.dumps(each)[:40]}; expected numbers or names"
      )
  return found


def _values(content: bytes, keys: Sequence[str]) -> list[Any]:
  """The value; of an object the values of the known keys, in their order."""
  try:
    found = json.loads(content, object_pairs_hook=_once)
  except RecursionError as error:
    raise ValueError("it is nested too deeply") from error
  if isinstance(found, dict):
    return [found[key] for key in keys if found.get(key) is not None]
  return [found]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
  found: dict[str, object] = {}
  for key, value in pairs:
    if key in found:
      raise ValueError(f"the key {key!r} occurs more than once")
    found[key] = value
  return found


def read_names(content: bytes, *, where: str) -> tuple[str, ...]:
  """The class names in a text file, one per line, in order.

  Raises:
    ValueError: the content is not UTF-8, a line before the last name is empty,
      or two names are equal.
  """
  try:
    lines = content.decode("utf-8").lstrip("\ufeff").split("\n")
  except UnicodeDecodeError as error:
    raise ValueError(f"{where} is not UTF-8 text: {error}") from error
  while lines and not lines[-1].strip():
    lines.pop()
  if "" in (stripped := [line.strip() for line in lines]):
    raise ValueError(
      f"{where}: line {stripped.index('') + 1} is empty, which would shift the "
      "names after it; remove the empty line"
    )
  return labels.check_names(lines, where=where)
