"""A seal over a small JSON object: a digest of all it says, and of its place.

What is read with its seal is what was written there, to the last bit; whoever
renames the folder it is in breaks the seal, too. It is no protection against
somebody who wants to deceive: anybody can make one.

Standard library only.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

_KEY = "seal"


def sealed(content: Mapping[str, Any], *, place: str) -> dict[str, Any]:
  """Returns the content with its seal.

  Args:
    content: what JSON can hold.
    place: that it belongs to, such as "the record of step 240".
  """
  return {**content, _KEY: _digest(content, place)}


def verified(
  content: Any, *, place: str, unsealed: Collection[str]
) -> dict[str, Any]:
  """Returns the content without its seal, if that is whole.

  Args:
    content: as it was read.
    place: that it is at.
    unsealed: the keys of those that were written before there were seals; they
      have no others, so that a damaged name of the seal is noticed.

  Raises:
    ValueError: it is not what was written there.
  """
  if not isinstance(content, dict):
    raise ValueError(f"{place} is no JSON object")
  content = dict(content)
  seal = content.pop(_KEY, None)
  if seal is None:
    if strange := sorted(content.keys() - set(unsealed)):
      raise ValueError(f"{place} has no seal, but {', '.join(strange)}")
  elif seal != _digest(content, place):
    raise ValueError(f"{place} is not what was written: its seal is broken")
  return content


def _digest(content: Mapping[str, Any], place: str) -> str:
  """16 hex digits of what JSON makes of it."""
  read = json.loads(json.dumps(content))
  text = json.dumps([place, read], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]
