"""Weight files, mapped into memory: .npz, .safetensors, and torch's own files.

An array is read at its access, and `forget` releases the memory of copied
arrays: a file of 4 GB loads with little more than 4 GB of memory. Arrays of two
raw bytes, numpy's form of bfloat16, are read as bfloat16.
"""

import mmap
import pathlib
from collections.abc import Mapping

import numpy as np

from jaxvision import files
from jaxvision.weights.formats import (
  npz,
  parts,
  safetensors,
  sharded,
  torch_file,
)
from jaxvision.weights.formats.array_file import ArrayFile, Refused

_TORCH = (".pth", ".pt", ".bin", ".ckpt", ".tar")
_READERS = {
  ".npz": npz.read,
  ".safetensors": safetensors.read,
  **dict.fromkeys(_TORCH, torch_file.read),
}
_WRITTEN = (".npz", ".safetensors")


def open_file(path: pathlib.Path, *, part: str = "") -> ArrayFile:
  """Maps a file into memory.

  Args:
    path: path of the file, or of the index of a file in several shards.
    part: name of a nested dict, or a prefix of keys: only these arrays are
      read, without the prefix; "" for all.

  Raises:
    FileNotFoundError, OSError: the file does not exist or is not regular.
    ValueError: the file is truncated, damaged, of another format, too large for
      weights, has Python objects, or does not have the part.
  """
  if path.name.endswith(sharded.SUFFIX):
    file = sharded.read(path, _opened)
  else:
    file = _opened(path)
  return parts.select(file, part) if part else file


def _opened(path: pathlib.Path) -> ArrayFile:
  shown = files.printable(path)
  if path.suffix not in _READERS:
    raise ValueError(
      f"{shown} has none of the suffixes {', '.join(_READERS)}. Weights in .h5 "
      "or .msgpack are not supported: use the .safetensors file of the same "
      "network, or convert the file with the library that wrote it"
    )
  with files.open_regular(path) as file:
    if not file.read(1):
      raise ValueError(f"{shown} is empty: fetch it again")
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  # Files come from other programs: any failure is an error of the file.
  try:
    return _READERS[path.suffix](path, mapping)
  except Refused as error:
    raise ValueError(f"{shown} is not read: {_message(error)}") from error
  except Exception as error:
    kind = "file of torch" if path.suffix in _TORCH else f"{path.suffix} file"
    raise ValueError(
      f"{shown} is not a {kind}, or is truncated or damaged: "
      f"{_message(error)}; fetch it again"
    ) from error


def _message(error: Exception) -> str:
  return files.printable(str(error)) or type(error).__name__


def write(
  path: pathlib.Path,
  arrays: Mapping[str, np.ndarray],
  *,
  note: str = "",
) -> None:
  """Writes arrays as .npz or .safetensors, according to the suffix.

  Args:
    path: path of the file; it is written atomically.
    arrays: {name: array}.
    note: text for the file's metadata.

  Raises:
    ValueError: the suffix is unknown.
  """
  if path.suffix not in _WRITTEN:
    raise ValueError(
      f"{files.printable(path)}: use the suffix {' or '.join(_WRITTEN)}"
    )
  with files.writing(path) as file:
    if path.suffix == ".npz":
      npz.write(file, dict(arrays), comment=note)
    else:
      metadata = {"format": "pt", **({"jaxvision": note} if note else {})}
      safetensors.write(file, arrays, metadata=metadata)


def note(file: ArrayFile) -> str:
  """Returns the text that `write` added to the file; "" without one."""
  name = "comment" if file.path.suffix == ".npz" else "jaxvision"
  return file.notes.get(name, "")
