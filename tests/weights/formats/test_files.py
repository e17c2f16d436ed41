"""Files of arrays, against the readers of numpy and safetensors."""

import io
import pathlib
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from jaxvision.weights.formats import files

ARRAYS = {
  "a/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
  "b": np.float16([1.5, -2]),
  "half": np.array([[1.5, 2.5]], ml_dtypes.bfloat16),
  "count": np.array(7, np.int64),
  "none": np.zeros((0, 3), np.float32),
}


def _written(folder, suffix):
  path = folder / f"weights{suffix}"
  files.write(path, ARRAYS)
  return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_written_arrays_are_read_back(suffix, tmp_path):
  """bfloat16 too, which numpy stores as two raw bytes."""
  file = files.open_file(_written(tmp_path, suffix))
  assert file.arrays.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    assert file.arrays[name].dtype == array.dtype
    np.testing.assert_array_equal(file.arrays[name], array)
    assert not file.arrays[name].flags.writeable
    file.forget(name)
    np.testing.assert_array_equal(file.arrays[name], array)
  assert [each.name for each in tmp_path.iterdir()] == [f"weights{suffix}"]


def test_numpy_reads_written_files(tmp_path):
  with np.load(_written(tmp_path, ".npz")) as archive:
    np.testing.assert_array_equal(archive["a/kernel"], ARRAYS["a/kernel"])


def test_compressed_and_fortran_arrays_are_read(tmp_path):
  path = tmp_path / "weights.npz"
  turned = np.asfortranarray(ARRAYS["a/kernel"])
  np.savez_compressed(path, a=turned)
  np.testing.assert_array_equal(files.open_file(path).arrays["a"], turned)
  np.savez(path, a=turned)
  np.testing.assert_array_equal(files.open_file(path).arrays["a"], turned)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 5, 60, 200, -1])
def test_a_file_that_is_cut_off_is_an_error(suffix, kept, tmp_path):
  path = _written(tmp_path, suffix)
  path.write_bytes(path.read_bytes()[:kept])
  with pytest.raises(ValueError, match="fetch it again"):
    files.open_file(path)


def test_pickles_are_refused(tmp_path):
  path = tmp_path / "weights.npz"
  np.savez(path, a=np.array([{}], object))
  with pytest.raises(ValueError, match="Python objects"):
    files.open_file(path)
  other = tmp_path / "weights.h5"
  other.write_bytes(b"PK")
  with pytest.raises(ValueError, match=r"use the \.safetensors"):
    files.open_file(other)
  with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
    files.write(other, ARRAYS)


def test_unknown_types_and_broken_headers_are_errors(tmp_path):
  path = tmp_path / "weights.safetensors"
  text = b'{"a":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}}'
  path.write_bytes(struct.pack("<Q", len(text)) + text + b"x")
  with pytest.raises(ValueError, match="a has the type F8_E5M2"):
    files.open_file(path)
  path.write_bytes(struct.pack("<Q", 4) + b"{no}")
  with pytest.raises(ValueError, match=r"not a \.safetensors file"):
    files.open_file(path)


def test_a_member_that_is_no_array_is_an_error(tmp_path):
  path = pathlib.Path(tmp_path / "weights.npz")
  content = io.BytesIO()
  with zipfile.ZipFile(content, "w") as archive:
    archive.writestr("a.npy", b"no array at all")
  path.write_bytes(content.getvalue())
  with pytest.raises(ValueError, match=r"weights\.npz"):
    files.open_file(path)
