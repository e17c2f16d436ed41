"""Tests of seals: any change of content or place is detected."""

import contextlib
import json

import pytest

from jaxvision.files import seals

_CONTENT = {"step": 3, "best": {"value": 0.1}, "window": {}, "none": None}


def _read(text, place="here"):
  return seals.verified(json.loads(text), place=place, unsealed=("step",))


def test_sealed_content_is_read_back():
  text = json.dumps(seals.sealed(_CONTENT, place="here"))
  assert _read(text) == _CONTENT
  with pytest.raises(
    ValueError, match="there was changed after it was written"
  ):
    _read(text, place="there")


def test_every_single_bit_counts():
  """A flip that does not change the JSON value is not damage."""
  text = json.dumps(seals.sealed(_CONTENT, place="here")).encode()
  same = 0
  for place in range(8 * len(text)):
    damaged = bytearray(text)
    damaged[place // 8] ^= 1 << place % 8
    # Also errors of JSON and of the decoding of bytes.
    with contextlib.suppress(ValueError):
      assert _read(bytes(damaged)) == _CONTENT
      same += 1
  # A space after a comma may become a tab's neighbour, but no more than that.
  assert same < 0.05 * 8 * len(text)


def test_files_of_older_versions_have_no_seal():
  assert _read('{"step": 3}') == {"step": 3}
  with pytest.raises(ValueError, match=r"no seal, but .* sebl"):
    _read('{"step": 3, "sebl": "0123"}')
  with pytest.raises(ValueError, match="not a JSON object"):
    _read("[3]")
