"""Schemas of the JSON files of runs and sweeps.

A schema is a dict {name: schema} for an object, a list [schema] for a list of
such items, or a tuple of types. A name that ends in "?" may be missing or null.
The name "*" matches all names.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from jaxvision.files import strict_json
from jaxvision.files.escaping import printable

Schema = Mapping[str, Any] | list | tuple[type, ...]

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
# environment.json: a list of these objects
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
  "waited?": _WHOLE,
  "goodput?": _NUMBER,
  "seconds_spent?": {"*?": _NUMBER},
}
# trackers.json: by the tracker as the config names it
TRACKERS = {
  "*": {
    "id": _TEXT,
    "step": _WHOLE,
    "lines": _WHOLE,
    "sent": _WHOLE,
    "status": _TEXT,
  },
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
  "proposal?": {"number": _WHOLE, "picks": _ANY, "notes": {"*": _ANY}},
  "settings": {"*": _ANY},
  "overrides": {"*": _ANY},
}
# search.json
SEARCH = {
  "question": _TEXT,
  "recipe": _TEXT,
  "read": _TEXT,
  "experiment": _TEXT,
  "children": _WHOLE,
  "objective": {"metric": _TEXT, "goal": _TEXT, "at": _TEXT},
  "searches": [{"name": _TEXT, "searcher": _TEXT, "seed": _WHOLE}],
  "genotypes": {"*": _TEXT},
}
# networks.json: by the label of the network
NETWORKS = {
  "*": {
    "overrides": {"*": _ANY},
    "children": [{"search": _TEXT, "number": _WHOLE}],
    "proxy?": _NUMBER,
  },
}


def read(
  path: str | os.PathLike[str], schema: Mapping[str, Any], *, remedy: str
) -> dict[str, Any]:
  """Reads a JSON object and checks it against a schema.

  Args:
    path: of the file.
    schema: the schema of the object.
    remedy: what to do about a damaged file; the end of the message.

  Raises:
    FileNotFoundError: the file does not exist.
    OSError: the file cannot be read.
    ValueError: the file is damaged. The message names the file and the expected
      content.
  """
  record = strict_json.read_json(path, remedy=remedy)
  found = list(wrong(record, schema))
  if found:
    raise ValueError(
      f"{printable(path)} is damaged: {'; '.join(found)}; {remedy}"
    )
  return record


def good(
  record: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
  """Returns the fields that match the schema, and messages for the others."""
  kept, problems = dict(record), []
  for name, inner in schema.items():
    found = list(wrong(record, {name: inner}))
    if found:
      kept.pop(name.removesuffix("?"), None)
      problems += found
  return kept, problems


def wrong(value: Any, schema: Schema, name: str = "") -> Iterator[str]:
  """Yields a message for each mismatch: "'step' is "x", not a whole number"."""
  if isinstance(schema, tuple):
    # Not isinstance: a bool is not accepted as a number.
    if object not in schema and type(value) not in schema:
      yield f"{_at(name)} is {_short(value)}, not {_WORDS[schema[-1]]}"
  elif isinstance(schema, list):
    if not isinstance(value, list):
      yield f"{_at(name)} is {_short(value)}, not a list"
      return
    for place, item in enumerate(value):
      yield from wrong(item, schema[0], f"{name}[{place}]")
  elif not isinstance(value, dict):
    yield f"{_at(name)} is {_short(value)}, not an object"
  else:
    yield from _wrong_fields(value, schema, name)


def _wrong_fields(
  value: Mapping[str, Any], schema: Mapping[str, Any], name: str
) -> Iterator[str]:
  for key, inner in schema.items():
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
