"""Random damage to .safetensors: this package refuses the same files."""

import json
import struct

import numpy as np
import pytest
import weight_files

from jaxvision.weights.formats import files

pytestmark = pytest.mark.parity

_VALUES = (0, 1, 2, 4, 8, 12, 16, -1, 2**64, 1.0, True, None, "F16", [])


def _right(rng):
  """(header, content) of a few arrays, some empty."""
  header, end = {}, 0
  for i in range(rng.integers(1, 4)):
    shape = rng.integers(0, 4, rng.integers(0, 3)).tolist()
    size = 4 * int(np.prod(shape))
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
    header[f"array{i}"] = entry
    end += size
  if rng.random() < 0.3:
    header["__metadata__"] = {"format": "pt"}
  return header, end


def _change(rng, header):
  """Changes one part in place."""
  name = list(header)[rng.integers(len(header))]
  entry = header[name]
  value = _VALUES[rng.integers(len(_VALUES))]
  if not isinstance(entry, dict) or not entry:
    return
  field = list(entry)[rng.integers(len(entry))]
  what = rng.integers(6)
  if what == 0:
    header[name] = value
  elif what == 1:
    entry[field] = value
  elif what == 2:
    del entry[field]
  elif isinstance(entry[field], list) and entry[field]:
    entry[field][rng.integers(len(entry[field]))] = value
  elif what == 3:
    entry["more"] = value
  elif what == 4:
    header["__metadata__"] = value


def _changed(rng):
  header, end = _right(rng)
  for _ in range(rng.integers(3)):
    _change(rng, header)
  text = bytearray(json.dumps(header).encode())
  if rng.random() < 0.5:
    place = rng.integers(len(text))
    text[place] ^= 1 << int(rng.integers(8))
  end = max(0, end + int(rng.choice([0, 0, 0, -1, 1, 4])))
  return struct.pack("<Q", len(text)) + bytes(text) + bytes(end)


def _loads(content):
  import safetensors

  try:
    safetensors.deserialize(content)
  except safetensors.SafetensorError:
    return False
  return True


def _reads(path):
  try:
    files.open_file(path).check()
  except ValueError as error:
    assert path.name in str(error)
    return False
  return True


def test_the_same_damage_is_detected(tmp_path):
  rng = np.random.default_rng(0)
  path = tmp_path / "some.safetensors"
  accepted = 0
  for _ in range(4000):
    content = _changed(rng)
    path.write_bytes(content)
    assert _loads(content) == _reads(path), content
    accepted += _loads(content)
  assert 400 < accepted < 3600


@pytest.mark.parametrize("name", weight_files.HEADERS)
def test_expected_results_equal_those_of_the_package(name):
  header, length, right = weight_files.HEADERS[name]
  assert _loads(weight_files.content(header, length)) == right
