"""The JSON files of runs and sweeps: which fields they have, and of what type.

A description is a dict {name: description} of an object, where "?" at the end
of a name says that it may be missing or null, and "*" stands for all names; a
list [description] of such items; or a tuple of types.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from jaxvision.files import strict_json
from jaxvision.files.escaping import printable

Description = Mapping[str, Any] | list | tuple[type, ...]

_ANY = (object,)
_TEXT, _WHOLE, _NUMBER = (str,), (int,), (int, float)
_WORDS = {str: "text", int: "a whole number", float: "a number"}

# config.json
ORIGIN = {
  "config": {
    "data?": {"name?": _TEXT, "*": _ANY},
    "model?": {"name?": _TEXT, "*": _ANY},
  },
  "recipe?": _TEXT,
  "overrides?": {"*": _ANY},
  "overfit?": _WHOLE,
}
# environment.json: a list of these
START = {"started": _TEXT, "step": _WHOLE, "devices?": _TEXT, "commit?": _TEXT}
RESULT = {
  "status?": _TEXT,
  "step?": _WHOLE,
  "total_steps?": _WHOLE,
  "seconds?": _NUMBER,
  "parameters?": _NUMBER,
  "flops_per_image?": _NUMBER,
  "memory_bytes?": _NUMBER,
  "image_shape?": [_WHOLE],
  "class_names?": [_TEXT],
  "best?": {"step": _WHOLE, "metric": _TEXT, "value?": _NUMBER},
  "final?": {"split": _TEXT, "metrics": {"*?": _NUMBER}},
  "fingerprint?": _TEXT,
  "checkpoint?": _TEXT,
  "goodput?": _NUMBER,
  "seconds_spent?": {"*?": _NUMBER},
}
SWEEP = {
  "study": _TEXT,
  "question": _TEXT,
  "recipe": _TEXT,
  "read": _TEXT,
  "searcher": _TEXT,
  "trials": _WHOLE,
  "overrides": {"*": _ANY},
  "objective": {"metric": _TEXT, "goal": _TEXT, "at": _TEXT},
}
TRIAL = {
  "number": _WHOLE,
  "state": _TEXT,
  "reason?": _TEXT,
  "value?": _NUMBER,
  "picks?": {"*": _ANY},
  "settings": {"*": _ANY},
  "overrides": {"*": _ANY},
}


def read(
  path: str | os.PathLike[str], description: Mapping[str, Any], *, remedy: str
) -> dict[str, Any]:
  """Reads a JSON object that is as described.

  Args:
    path: of the file.
    description: of the object.
    remedy: what to do about a damaged file, the end of the message.

  Raises:
    FileNotFoundError: there is no such file.
    OSError: it cannot be read.
    ValueError: it is damaged; names the file, and what was expected.
  """
  record = strict_json.read_json(path, remedy=remedy)
  found = list(wrong(record, description))
  if found:
    raise ValueError(
      f"{printable(path)} is damaged: {'; '.join(found)}; {remedy}"
    )
  return record


def good(
  record: Mapping[str, Any], description: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
  """The fields of an object that are as described, and what others are."""
  kept, problems = dict(record), []
  for name, inner in description.items():
    found = list(wrong(record, {name: inner}))
    if found:
      kept.pop(name.removesuffix("?"), None)
      problems += found
  return kept, problems


def wrong(
  value: Any, description: Description, name: str = ""
) -> Iterator[str]:
  """Says what of a value is not as described: "'step' is "x", not a ..."."""
  if isinstance(description, tuple):
    # Not isinstance: True is no number.
    if object not in description and type(value) not in description:
      yield f"{_at(name)} is {_short(value)}, not {_WORDS[description[-1]]}"
  elif isinstance(description, list):
    if not isinstance(value, list):
      yield f"{_at(name)} is {_short(value)}, not a list"
      return
    for place, item in enumerate(value):
      yield from wrong(item, description[0], f"{name}[{place}]")
  elif not isinstance(value, dict):
    yield f"{_at(name)} is {_short(value)}, not an object"
  else:
    yield from _wrong_fields(value, description, name)


def _wrong_fields(
  value: Mapping[str, Any], description: Mapping[str, Any], name: str
) -> Iterator[str]:
  for key, inner in description.items():
    bare, optional = key.removesuffix("?"), key.endswith("?")
    for each in value if bare == "*" else (bare,):
      path = f"{name}.{each}" if name else each
      if value.get(each) is not None:
        yield from wrong(value[each], inner, path)
      elif not optional and inner is not _ANY:
        yield f"{_at(path)} is missing"


def _at(name: str) -> str:
  return repr(printable(name)) if name else "it"


def _short(value: Any) -> str:
  text = printable(strict_json.to_json(value, default=str))
  return text if len(text) <= 40 else f"{text[:40]}..."
