"""A digest ("seal") of a small JSON object and of the place it belongs to.

A verified seal proves that the content is identical to the written content, and
that it was written for this place. If the folder is renamed, the seal is no
longer valid. A seal detects damage only. It is not a protection against
manipulation, because anyone can compute it.

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
    content: a JSON object.
    place: the place of the content, such as "the record of step 240".
  """
  return {**content, _KEY: _digest(content, place)}


def verified(
  content: Any, *, place: str, unsealed: Collection[str]
) -> dict[str, Any]:
  """Returns the content without its seal, if the seal is valid.

  Args:
    content: the value that was read.
    place: the place that the content was read from.
    unsealed: the keys that content from before the introduction of seals may
      have. Other keys without a seal are an error, so a damaged "seal" key is
      detected.

  Raises:
    ValueError: the content was not written for this place, or was changed.
  """
  if not isinstance(content, dict):
    raise ValueError(f"{place} is not a JSON object")
  content = dict(content)
  seal = content.pop(_KEY, None)
  if seal is None:
    if strange := sorted(content.keys() - set(unsealed)):
      raise ValueError(
        f"{place} has no seal, but has the unexpected fields "
        f"{', '.join(strange)}"
      )
  elif seal != _digest(content, place):
    raise ValueError(
      f"{place} was changed after it was written: its seal does not match"
    )
  return content


def _digest(content: Mapping[str, Any], place: str) -> str:
  """Returns 16 hex digits of a SHA-256 over the place and the JSON content."""
  read = json.loads(json.dumps(content))
  text = json.dumps([place, read], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]
