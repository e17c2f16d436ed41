"""Files of torch.save, without torch: those written by hand, and two of torch.

fixtures/ has two files that torch 2.13 wrote; make.py beside them says how.
tests/parity/test_torch_files.py compares random files with torch itself.
"""

import pathlib
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch_files as tf

from jaxvision.weights import formats

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
ARRAYS = {
  "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
  "float16": np.float16([1.5, -2]),
  "bfloat16": np.array([[1.5, 2.5]], ml_dtypes.bfloat16),
  "float64": np.array([np.pi]),
  "int64": np.array(7, np.int64),
  "int32": np.int32([[-1]]),
  "int16": np.int16([-300, 300]),
  "int8": np.int8([-1, 2, 3]),
  "uint8": np.uint8([0, 255]),
  "bool": np.array([True, False]),
  "empty": np.zeros((0, 3), np.float32),
}


def _opened(tmp_path, content, name="weights.pth", **options):
  path = tmp_path / name
  path.write_bytes(content)
  return formats.open_file(path, **options)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_every_type_is_read(form, tmp_path):
  file = _opened(tmp_path, tf.saved(ARRAYS, form=form))
  file.check()
  assert file.arrays.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    for _ in range(2):
      found = file.arrays[name]
      assert found.dtype == array.dtype and found.shape == array.shape
      np.testing.assert_array_equal(found, array)
      assert not found.flags.writeable
      file.forget(name)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_files_of_torch_itself(form):
  file = formats.open_file(FIXTURES / f"{form}.pth")
  file.check()
  expected = np.load(FIXTURES / "expected.npz")
  assert sorted(file.entries) == sorted(expected.files)
  for name, array in file.arrays.items():
    # numpy stores bfloat16 as float32 here.
    np.testing.assert_array_equal(
      array.astype(expected[name].dtype), expected[name]
    )
  assert file.parts == ("model", "optimizer.state.0", "optimizer.state.1")


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ".pth.tar"])
def test_the_content_decides_the_form(suffix, tmp_path):
  for form in ("zip", "legacy"):
    content = tf.saved({"a": np.float32([1])}, form=form)
    assert _opened(tmp_path, content, f"weights{suffix}").arrays["a"] == [1]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_torch_can_write(protocol, tmp_path):
  value = tf.dict_({"a": tf.of_array("0", np.float32([3]))})
  more = {"data.pkl": tf.pickled(value, protocol)}
  content = tf.zipped(b"N", {"0": np.float32([3]).tobytes()}, more=more)
  assert _opened(tmp_path, content).arrays["a"] == [3]


def _strided(tmp_path, shape, strides, offset, size=24, form="zip"):
  row = np.arange(size, dtype=np.float32)
  value = tf.dict_(
    {"a": tf.tensor(tf.storage("0", size), shape, strides, offset)}
  )
  content = (
    tf.zipped(value, {"0": row.tobytes()})
    if form == "zip"
    else tf.legacy(value, {"0": (size, row.tobytes())})
  )
  return row, _opened(tmp_path, content)


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize(
  ("shape", "strides", "offset"),
  [
    ((4, 6), (6, 1), 0),
    ((6, 4), (1, 6), 0),
    ((3, 2), (6, 2), 5),
    ((), (), 23),
    ((2, 3, 4), (0, 4, 1), 12),
    ((1, 5), (1 << 40, 1), 19),
    ((0, 1 << 40), (1, 1), 24),
    ((1,) * 32, (7,) * 32, 3),
  ],
)
def test_views_are_those_of_numpy(shape, strides, offset, form, tmp_path):
  row, file = _strided(tmp_path, shape, strides, offset, form=form)
  entry = file.entries["a"]
  expected = (
    np.lib.stride_tricks.as_strided(
      row[offset:], shape, [4 * each for each in strides]
    )
    if entry.size
    else np.zeros(shape, np.float32)
  )
  np.testing.assert_array_equal(entry.read(), expected)
  entry.forget()
  np.testing.assert_array_equal(entry.read(), expected)


def test_an_expanded_tensor_takes_no_memory(tmp_path):
  _, file = _strided(tmp_path, (1 << 20, 1 << 20), (0, 0), 3)
  assert file.entries["a"].size == 1 << 40
  assert file.arrays["a"][-1, -1] == 3


def test_storages_are_shared_and_views_of_old_files_are_read(tmp_path):
  row = np.arange(10, dtype=np.int64)
  view = tf.tuple_(tf.text("1"), tf.integer(4), tf.integer(3))
  value = tf.dict_(
    {
      "whole": tf.tensor(tf.storage("0", 10, "LongStorage"), (10,), (1,)),
      "part": tf.tensor(
        tf.storage("0", 10, "LongStorage", view), (2,), (1,), 1
      ),
      "old": tf.tensor(tf.storage("0", 10, "LongStorage", b"N"), (1,), (1,)),
    }
  )
  file = _opened(tmp_path, tf.legacy(value, {"0": (10, row.tobytes())}))
  np.testing.assert_array_equal(file.arrays["whole"], row)
  np.testing.assert_array_equal(file.arrays["part"], [5, 6])
  np.testing.assert_array_equal(file.arrays["old"], [0])


def test_a_type_that_only_the_tensor_states(tmp_path):
  of = tf.tuple_(
    tf.text("storage"),
    tf.named("torch.storage.UntypedStorage"),
    *(tf.text("0"), tf.text("cpu"), tf.integer(4)),
  )
  value = tf.called(
    "torch._utils._rebuild_tensor_v3",
    *(of + b"Q", tf.integer(1), tf.integers(1), tf.integers(1)),
    *(b"\x89", tf.called("collections.OrderedDict")),
    tf.named("torch.uint16"),
  )
  file = _opened(
    tmp_path, tf.zipped(value, {"0": np.uint16([1, 500]).tobytes()})
  )
  assert file.arrays["tensor"].dtype == np.uint16
  assert file.arrays["tensor"] == [500]


def test_compressed_members_are_read(tmp_path):
  arrays = {"a": np.arange(1000, dtype=np.float32), "b": np.zeros(3, np.int8)}
  content = tf.saved(arrays, compression=zipfile.ZIP_DEFLATED)
  file = _opened(tmp_path, content)
  file.check()
  for name, array in arrays.items():
    np.testing.assert_array_equal(file.arrays[name], array)
    file.forget(name)


def test_plain_values_and_options_are_passed_over(tmp_path):
  value = tf.dict_(
    {
      "epoch": tf.integer(3),
      "args": tf.named("argparse.Namespace") + b")\x81" + tf.dict_({}) + b"b",
      "type": tf.named("torch.float32"),
      "device": tf.called("torch.device", tf.text("cuda"), tf.integer(0)),
      "size": tf.called("torch.Size", tf.integers(1, 2)),
      "set": tf.called("__builtin__.set", b"](K\1K\2e"),
      "complex": tf.called("__builtin__.complex", b"G" + bytes(8), b"K\1"),
      "bytes": tf.called("_codecs.encode", tf.text("\xff"), tf.text("latin1")),
      "array": tf.called(
        "__builtin__.bytearray", tf.text("ab"), tf.text("latin-1")
      ),
      "python 2": tf.called(
        "collections.OrderedDict",
        b"](](" + tf.text("w") + tf.of_array("0", np.float32([5])) + b"ee",
      ),
      "parameter": tf.called(
        "torch._utils._rebuild_parameter",
        tf.of_array("0", np.float32([5])),
        *(b"\x88", tf.called("collections.OrderedDict")),
      ),
    }
  )
  file = _opened(tmp_path, tf.zipped(value, {"0": np.float32([5]).tobytes()}))
  assert {name: float(a[0]) for name, a in file.arrays.items()} == {
    "python 2.w": 5.0,
    "parameter": 5.0,
  }


def test_lists_are_skipped_unless_nothing_else_is_there(tmp_path):
  array, row = np.float32([5]), {"0": np.float32([5]).tobytes()}
  of = tf.of_array("0", array)
  states = b"](" + tf.dict_({"exp_avg": of}) + of + b"e"
  value = tf.dict_({"state_dict": tf.dict_({"w": of}), "optimizers": states})
  file = _opened(tmp_path, tf.zipped(value, row))
  assert list(file.entries) == ["state_dict.w"]
  assert file.lists == ("optimizers",) and file.parts == ("state_dict",)
  file = _opened(tmp_path, tf.zipped(tf.dict_({"a": states}), row))
  assert list(file.entries) == ["a.0.exp_avg", "a.1"] and not file.lists
  file = _opened(tmp_path, tf.zipped(states, row))
  assert list(file.entries) == ["0.exp_avg", "1"]


def test_containers_that_contain_themselves_are_read_once(tmp_path):
  of = tf.of_array("0", np.float32([5]))
  itself = b"}q\1(" + tf.text("w") + of + tf.text("me") + b"h\1"
  itself += tf.text("list") + b"]q\2(h\1h\2e" + b"u"
  file = _opened(tmp_path, tf.zipped(itself, {"0": np.float32([5]).tobytes()}))
  assert list(file.entries) == ["w"]


def test_a_flipped_bit_is_noticed_by_a_check(tmp_path):
  array = np.ones(5000, np.float32)
  content = bytearray(tf.saved({"kernel": array}))
  content[content.index(array.tobytes()[:64]) + 15_000] ^= 4
  with pytest.raises(ValueError, match="data/0 is damaged"):
    _opened(tmp_path, content).check()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_file_that_is_cut_off_is_an_error(form, tmp_path):
  content = tf.saved({"a": np.ones(50, np.float32)}, form=form)
  for kept in (1, 3, 5, 50, len(content) // 2, len(content) - 1):
    with pytest.raises(ValueError, match="fetch it again"):
      _opened(tmp_path, content[:kept])


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_any_changed_byte_is_read_or_refused(form, tmp_path):
  content = tf.saved(
    {"a": np.ones(3, np.float32), "b": np.ones(2, np.int64)}, form=form
  )
  rng = np.random.default_rng(0)
  for place in range(len(content)):
    changed = bytearray(content)
    changed[place] = rng.integers(256)
    try:
      file = _opened(tmp_path, changed)
      for array in file.arrays.values():
        assert array.size < 100
    except ValueError as error:
      assert "weights.pth" in str(error)


def test_a_part_is_chosen_in_words(tmp_path):
  arrays = {"a.w": np.float32([1]), "a.b": np.float32([2])}
  content = tf.saved(arrays, around=("teacher", "model"))
  file = _opened(tmp_path, content, part="teacher")
  assert list(file.entries) == ["model.a.w", "model.a.b"]
  file = _opened(tmp_path, content, part="teacher.model.a")
  assert list(file.entries) == ["w", "b"]
  with pytest.raises(ValueError, match=r"no part 'student'.*teacher \(2 arr"):
    _opened(tmp_path, content, part="student")
