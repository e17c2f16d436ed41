"""Files in shards with an index."""

import json

import numpy as np
import pytest

from jaxvision.weights import formats

NAMES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
ARRAYS = {"a": np.float32([1, 2]), "b": np.int64(3), "c": np.zeros((0, 2))}
PLACES = {"b": NAMES[1], "a": NAMES[0], "c": NAMES[1]}


def _written(folder, places=PLACES, index=None):
  for name in NAMES:
    formats.write(
      folder / name, {k: a for k, a in ARRAYS.items() if PLACES[k] == name}
    )
  path = folder / "model.safetensors.index.json"
  index = {"metadata": {"total_size": 8}, "weight_map": places, **(index or {})}
  path.write_text(json.dumps(index))
  return path


def test_shards_are_one_file(tmp_path):
  file = formats.open_file(_written(tmp_path))
  assert list(file.entries) == list(PLACES)
  file.check()
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(file.arrays[name], array)
    file.forget(name)


def test_a_missing_shard_is_named(tmp_path):
  path = _written(tmp_path)
  (tmp_path / NAMES[1]).unlink()
  with pytest.raises(FileNotFoundError, match=NAMES[1]):
    formats.open_file(path)


@pytest.mark.parametrize(
  ("places", "words"),
  [
    ({**PLACES, "d": NAMES[0]}, "d is not in this shard"),
    ({k: PLACES[k] for k in "ab"}, "c is not in the index"),
    ({**PLACES, "a": NAMES[1]}, "does not fit"),
    ({**PLACES, "a": "../other.safetensors"}, "in the same folder"),
    ({**PLACES, "a": "/tmp/other.safetensors"}, "in the same folder"),
    ({**PLACES, "a": "other.pth"}, "in the same folder"),
    ({**PLACES, "a": 3}, "in the same folder"),
    ({}, "names no shards"),
    ([], "is not an index"),
    (None, "is not an index"),
  ],
)
def test_other_indexes_are_refused(places, words, tmp_path):
  path = _written(tmp_path, places)
  with pytest.raises(ValueError, match=words) as caught:
    formats.open_file(path)
  assert str(path) in str(caught.value)


def test_a_damaged_index_or_shard_is_refused(tmp_path):
  path = _written(tmp_path)
  (tmp_path / NAMES[0]).write_bytes(b"x" * 20)
  with pytest.raises(ValueError, match=NAMES[0]):
    formats.open_file(path)
  for content in (b"", b"[" * 100_000, b"[]", b'{"a": 1}', b"\xff"):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.json"):
      formats.open_file(path)
