import io
import struct
import warnings
import zipfile

import numpy as np
import pytest

from jaxvision.data.formats import npz

REMEDY = "write it anew"


def write(path, **arrays):
  np.savez(path, **arrays)
  return path


def npy(array):
  written = io.BytesIO()
  np.save(written, array)
  return written.getvalue()


def zipped(path, members, compression=zipfile.ZIP_STORED):
  with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
    warnings.simplefilter("ignore")  # of names that come twice
    for name, content in members:
      archive.writestr(name, content, compression)
  return path


def refused(path, message):
  with pytest.raises(
    ValueError, match=rf"{path.name} is not an .npz.*{message}"
  ):
    npz.read(path, remedy=REMEDY)


def test_arrays_come_back_as_numpy_reads_them(tmp_path):
  arrays = {
    "images": np.arange(60, dtype=np.uint8).reshape(3, 4, 5),
    "names": np.asarray(["a", "猫"]),
    "fortran": np.asfortranarray(np.eye(3)[:2]),
    "empty": np.zeros((0, 3)),
    "one": np.float32(2.5),
  }
  for save in (np.savez, np.savez_compressed):
    save(tmp_path / "a.npz", **arrays)
    found = npz.read(tmp_path / "a.npz", remedy=REMEDY)
    with np.load(tmp_path / "a.npz") as expected:
      assert found.keys() == set(expected.files)
      for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == expected[name].dtype


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_named(tmp_path, place, save):
  path = tmp_path / "a.npz"
  rng = np.random.default_rng(0)
  save(path, images=rng.integers(0, 9, (50, 8, 8), np.uint8))
  content = bytearray(path.read_bytes())
  content[int(place * len(content))] ^= 0x10
  path.write_bytes(content)
  refused(path, REMEDY)


def test_arrays_of_one_name_are_refused(tmp_path):
  array = npy(np.zeros(3))
  for names in (("a.npy", "a.npy"), ("a.npy", "a")):
    path = zipped(tmp_path / "a.npz", [(name, array) for name in names])
    refused(path, "two arrays 'a'")


def test_headers_that_claim_more_than_is_there_are_refused(tmp_path):
  array = npy(np.zeros(10)).replace(b"(10,)", b"(9999999999999,)")
  short = array[:-11] if len(array) % 8 else array
  path = zipped(tmp_path / "a.npz", [("a.npy", short)])
  refused(path, REMEDY)
  lies = npy(np.zeros((10, 10))).replace(b"(10, 10)", b"(99, 99)")
  refused(zipped(tmp_path / "b.npz", [("a.npy", lies)]), "has 800; write it")


def test_sizes_beyond_the_memory_are_refused_before_they_are_read(tmp_path):
  path = zipped(tmp_path / "a.npz", [("a.npy", npy(np.zeros(10)))])
  content = bytearray(path.read_bytes())
  entry = content.index(b"PK\x01\x02")
  content[entry + 24 : entry + 28] = struct.pack("<I", 2**31)
  path.write_bytes(content)
  refused(path, r"states 2\.0 GiB in 208 bytes")


def test_encrypted_and_unknown_compressions_are_refused(tmp_path):
  path = zipped(tmp_path / "a.npz", [("a.npy", npy(np.zeros(10)))])
  whole = path.read_bytes()
  for offset, value in ((6, 1), (8, 99)):  # flags, method
    content = bytearray(whole)
    for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
      content[content.index(mark) + offset + shift] = value
    path.write_bytes(content)
    refused(path, REMEDY)
