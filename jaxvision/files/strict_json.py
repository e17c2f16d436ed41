"""Strict JSON: NaN and infinities, which JSON does not have, become null."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from jaxvision.files.atomic import StrPath, read_bytes, write_bytes
from jaxvision.files.escaping import printable

_LARGEST_JSON = 1 << 30  # bytes


_KINDS = {
  dict: "an object {...}",
  list: "a list [...]",
  (dict, list): "an object {...} or a list [...]",
}


# Characters that are valid in JSON, but that a terminal interprets or hides.
_RAW = re.compile(
  "[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)


def write_json(
  path: StrPath,
  value: Any,
  *,
  default: Callable[[Any], Any] | None = None,
  mode: int | None = None,
) -> None:
  """Writes strict JSON atomically; see `to_json`."""
  text = to_json(value, indent=1, default=default)
  write_bytes(path, f"{text}\n".encode(), mode=mode)


def to_json(
  value: Any,
  *,
  indent: int | None = None,
  default: Callable[[Any], Any] | None = None,
) -> str:
  r"""Returns strict JSON text; NaN and infinities become null at any depth.

  Control characters and undecodable bytes (`os.fsdecode`) are written as
  `\u001b` and `\udcff`. `json.loads` restores them.

  Args:
    value: a nested value of dicts, lists, tuples, text, numbers, booleans and
      None.
    indent: spaces per level; None writes one line.
    default: converts other objects to JSON values.

  Raises:
    TypeError: the value contains another object, and there is no `default`.
  """
  text = json.dumps(
    _finite(value, default), indent=indent, ensure_ascii=False, allow_nan=False
  )
  return _RAW.sub(lambda each: rf"\u{ord(each[0]):04x}", text)


def read_json(
  path: StrPath,
  *,
  kind: type | tuple[type, ...] = dict,
  remedy: str = "",
) -> Any:
  """Reads a JSON file whose outermost value is an object or a list.

  Args:
    path: of the file.
    kind: dict, list or both, the expected type of the outermost value.
    remedy: what to do about a damaged file; the end of the message.

  Raises:
    FileNotFoundError: the file does not exist.
    OSError: the file cannot be read.
    ValueError: the file is damaged. The message names the file, the fault and
      the expected content.
  """
  content = read_bytes(path, limit=_LARGEST_JSON)
  try:
    value = json.loads(content.decode("utf-8"))
  except (ValueError, RecursionError) as error:
    wrong = f"it is not JSON ({error})" if content.strip() else "it is empty"
  else:
    if isinstance(value, kind):
      return value
    wrong = f"it contains {_shown(value)}"
  raise ValueError(
    f"{printable(path)} is damaged: {wrong}; expected {_KINDS[kind]}"
    + (f"; {remedy}" if remedy else "")
  )


def _finite(value: Any, default: Callable[[Any], Any] | None) -> Any:
  """Returns the value with null for each number that is not finite."""
  if isinstance(value, float):
    return float(value) if math.isfinite(value) else None
  if isinstance(value, dict):
    return {
      None if isinstance(key, float) and not math.isfinite(key) else key: (
        _finite(each, default)
      )
      for key, each in value.items()
    }
  if isinstance(value, list | tuple):
    return [_finite(each, default) for each in value]
  if value is None or isinstance(value, str | int) or default is None:
    return value
  return _finite(default(value), default)


def _shown(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) <= 40 else f"{text[:40]}..."
