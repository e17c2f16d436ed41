"""Damaged and hostile weight files, compared with refusals of the libraries.

The results of the safetensors package for each header are stored here, from

  PYTHONPATH=tests python tests/weights/formats/test_damaged.py

tests/parity/test_weights_damaged.py compares with the package again, with
thousands of random changes. The oracle for .npz is numpy.
"""

import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from weight_files import HEADERS, ONE, content

from jaxvision import cli, weights
from jaxvision.weights.formats import files


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_refused_as_safetensors_refuses_them(name, tmp_path):
  header, length, right = HEADERS[name]
  path = tmp_path / "some.safetensors"
  path.write_bytes(content(header, length))
  if right:
    files.open_file(path).check()
    return
  with pytest.raises(ValueError, match=r"some\.safetensors"):
    files.open_file(path)


def test_equal_names_are_refused(tmp_path):
  """safetensors detects it only if the bytes of one array are then missing."""
  path = tmp_path / "some.safetensors"
  for second in ('"a"', '"\\u0061"'):
    header = f"{{{ONE},{second}{ONE[3:]}}}"
    path.write_bytes(content(header, 8))
    with pytest.raises(ValueError, match="'a' twice"):
      files.open_file(path)


@pytest.mark.parametrize("length", [0, 2, 1 << 40, 100_000_001, 2**64 - 1])
def test_a_wrong_length_of_the_header_is_refused(length, tmp_path):
  path = tmp_path / "some.safetensors"
  path.write_bytes(struct.pack("<Q", length) + b"{}")
  if length == 2:
    assert not files.open_file(path).entries
    return
  with pytest.raises(ValueError, match=r"some\.safetensors"):
    files.open_file(path)


def _npz(path, **arrays):
  np.savez(path, **arrays)
  return path


def _refused_by_numpy(path):
  try:
    with np.load(path) as archive:
      for name in archive:
        _ = archive[name]
  except Exception:
    return True
  return False


@pytest.mark.parametrize("compressed", [False, True])
def test_every_flipped_bit_that_numpy_detects_is_detected(compressed, tmp_path):
  """In contents, headers and the list of members."""
  path = tmp_path / "some.npz"
  save = np.savez_compressed if compressed else np.savez
  save(path, a=np.arange(20, dtype=np.float32), b=np.ones((2, 3)))
  content = path.read_bytes()
  right = {n: a.tobytes() for n, a in files.open_file(path).arrays.items()}
  noticed = 0
  for place in range(0, len(content), 3):
    changed = bytearray(content)
    changed[place] ^= 1 << place % 8
    path.write_bytes(changed)
    try:
      arrays = {n: a.tobytes() for n, a in files.open_file(path).arrays.items()}
    except ValueError as error:
      assert "some.npz" in str(error) or "damaged" in str(error)
      noticed += 1
      continue
    assert not _refused_by_numpy(path)
    assert arrays.keys() != right.keys() or arrays == right
  assert noticed > len(content) / 6


def test_a_flipped_bit_is_named_by_commands_and_loading(tmp_path, capsys):
  array = np.ones(5000, np.float32)
  path = _npz(tmp_path / "some.npz", kernel=array)
  content = bytearray(path.read_bytes())
  content[content.index(array.tobytes()[:64]) + 15_000] ^= 4
  path.write_bytes(content)
  with pytest.raises(zipfile.BadZipFile, match="Bad CRC"):
    np.load(path)["kernel"]
  assert cli.main(["weights", "inspect", str(path)]) == 2
  said = capsys.readouterr().err
  assert "some.npz: kernel is damaged" in said and "checksum" in said


def _member(content, name="a.npy", **options):
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, "w", **options) as archive:
    archive.writestr(name, content)
  return stream.getvalue()


def _npy(header):
  text = header.encode()
  return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def _encrypted():
  content = bytearray(_member(_npy("") + bytes(8)))
  content[6] |= 1
  content[content.index(b"PK\1\2") + 8] |= 1
  return bytes(content)


def _of_shape(shape, descr="<f4", behind=8):
  header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
  return _member(_npy(header) + bytes(behind))


NPZ = {
  "shorter than its header says": _of_shape("(3,)"),
  "longer than its header says": _of_shape("(1,)"),
  "enormous": _of_shape("(1000000000000, 1000000)"),
  "negative": _of_shape("(-2, -1)"),
  "of no bytes": _of_shape("(1000000000000,)", "|V0", 0),
  "texts of no bytes": _of_shape("(1000000000000,)", "<U0", 0),
  "objects": _of_shape("(1,)", "|O"),
  "records": _of_shape("(1,)", [("x", "<f8")]),
  "times": _of_shape("(1,)", "<M8[s]"),
  "code in the header": _member(_npy("__import__('os').abort()")),
  "deep header": _member(_npy("[" * 5000)),
  "unknown version": _member(b"\x93NUMPY\7\0" + bytes(20)),
  "a pickle": _member(b"\x80\4."),
  "encrypted": _encrypted(),
  "no zip file": b"PK\3\4" + bytes(60),
  "long list of members": b"PK\5\6" + bytes(8) + b"\0\0\0\x7f" + bytes(6),
}


@pytest.mark.parametrize("name", NPZ)
def test_hostile_npz_are_refused_with_their_name(name, tmp_path):
  path = tmp_path / "some.npz"
  path.write_bytes(NPZ[name])
  with pytest.raises(ValueError, match=r"some\.npz"):
    files.open_file(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
  path = tmp_path / "some.npz"
  _npz(path, a=np.ones(3))
  with zipfile.ZipFile(path, "a") as archive:
    archive.writestr("a.npy", archive.read("a.npy"))
  with pytest.raises(ValueError, match="two members have the name a"):
    files.open_file(path)


def _bomb(path, count):
  """A valid zip file with this number of zeros."""
  header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}"
  deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
  zeros = bytes(1 << 20)
  start = _npy(header)
  crc, packed = zlib.crc32(start), deflate.compress(start)
  for _ in range(4 * count // len(zeros)):
    crc = zlib.crc32(zeros, crc)
    packed += deflate.compress(zeros)
  packed += deflate.flush()
  size = len(start) + 4 * count
  fields = struct.pack("<LLL", crc, len(packed), size)
  middle = b"\x14\0\0\0\x08\0\0\0\0\0" + fields + struct.pack("<HH", 5, 0)
  local = b"PK\3\4" + middle + b"a.npy" + packed
  entry = b"PK\1\2\x14\0" + middle + bytes(14) + b"a.npy"
  end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 1, 1, len(entry), 0, 0)
  end = end[:16] + struct.pack("<L", len(local)) + end[20:]
  path.write_bytes(local + entry + end)


def _in_little_memory(command):
  """Runs a command in a shell that limits its memory to 3 GB.

  A preexec_fn would fork this process, and jax warns of forks.
  """
  limited = 'ulimit -v 3145728; exec "$@"'  # KiB
  return subprocess.run(
    ["sh", "-c", limited, "sh", sys.executable, "-m", "jaxvision", *command],
    env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "XLA_FLAGS": ""},
    capture_output=True,
    text=True,
    timeout=100,
  )


def test_too_large_decompressed_data_is_refused(tmp_path, monkeypatch):
  from jaxvision.weights.formats import zip_members

  monkeypatch.setattr(zip_members, "_ALWAYS_INFLATED", 1 << 20)
  path = tmp_path / "some.npz"
  _bomb(path, 1 << 20)
  assert path.stat().st_size < 10_000
  with pytest.raises(
    ValueError, match=r"some\.npz.*decompressed size is 4,194"
  ):
    files.open_file(path)
  np.savez_compressed(path, a=np.random.default_rng(0).random(300_000))
  assert files.open_file(path).arrays["a"].shape == (300_000,)


@pytest.mark.slow
def test_a_bomb_takes_no_memory(tmp_path):
  """8 MB that decompress to 3.9 GB; the process has 3 GB."""
  path = tmp_path / "some.npz"
  _bomb(path, 1_000_000_000 // (1 << 18) * (1 << 18))
  assert path.stat().st_size < 8_000_000
  done = _in_little_memory(["weights", "inspect", str(path)])
  assert done.returncode == 2
  assert "some.npz" in done.stderr and "decompressed size" in done.stderr
  assert "Traceback" not in done.stderr


_SHAPES = ((), (0,), (3,), (0, 0), (0, 4), (1, 5, 0), (0, 0, 0, 0))
_KEYS = {
  "vit_b32": "Transformer/encoderblock/MlpBlock_0/Dense_0/kernel pos_embedding "
  "cls head/kernel Transformer/encoderblock/x/query/kernel pre_logits/kernel",
  "vit_ti16": "blocks.0.attn.qkv.weight pos_embed cls_token head.weight "
  "head.bias reg_token",
  "mixer_s16": "blocks.0.mlp_tokens.fc1.weight blocks.0.mlp_tokens.fc1.bias "
  "head.weight head.bias",
  "resnet50": "layer1.0.conv1.weight layer1.0.se.fc1.weight fc.weight fc.bias "
  "conv1.weight",
}


@pytest.mark.parametrize("name", _KEYS)
@pytest.mark.parametrize("shape", _SHAPES)
def test_arrays_of_senseless_shapes_are_refused_by_name(name, shape, tmp_path):
  path = tmp_path / "some.safetensors"
  array = np.zeros(shape, np.float32)
  files.write(path, dict.fromkeys(_KEYS[name].split(), array))
  weights.inspect(path)
  with pytest.raises(ValueError, match=r"some\.safetensors"):
    weights.load(path, name)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_pipes_and_folders_are_refused(suffix, tmp_path, capsys):
  pipe = tmp_path / f"pipe{suffix}"
  os.mkfifo(pipe)
  assert cli.main(["weights", "inspect", str(pipe)]) != 0
  assert f"pipe{suffix}" in capsys.readouterr().err
  assert cli.main(["weights", "inspect", str(tmp_path)]) == 2
  assert "is a folder" in capsys.readouterr().err


def test_names_of_arrays_reach_the_terminal_as_text(tmp_path, capsys):
  path = tmp_path / "some.safetensors"
  files.write(path, {"a\x1b[31m\nb": np.zeros(2, np.float32)})
  assert cli.main(["weights", "inspect", str(path)]) == 0
  printed = capsys.readouterr().out
  assert "\x1b" not in printed and r"a\x1b[31m\nb  (2,)" in printed


if __name__ == "__main__":
  import safetensors

  for each, (header, length, _) in HEADERS.items():
    try:
      safetensors.deserialize(content(header, length))
    except safetensors.SafetensorError:
      print(f"{each}: False")
    else:
      print(f"{each}: True")
