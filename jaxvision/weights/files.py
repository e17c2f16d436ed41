"""Files of named arrays, mapped into memory: .npz and .safetensors.

Nothing is read before it is looked at, and `forget` gives back the memory of
what has been copied: a file of 4 GB loads in little more than 4 GB. bfloat16
that numpy stored as two raw bytes is bfloat16 here.
"""

import mmap
import pathlib
from collections.abc import Mapping

import numpy as np

from jaxvision import files
from jaxvision.weights import npz, safetensors
from jaxvision.weights.array_file import ArrayFile

SUFFIXES = (".npz", ".safetensors")
_READERS = {".npz": npz.read, ".safetensors": safetensors.read}


def open_file(path: pathlib.Path) -> ArrayFile:
  """Maps a file into memory.

  Raises:
    FileNotFoundError, OSError: there is none, or it is no regular file.
    ValueError: it is cut off, damaged, of another format, too large to be
      weights, or has Python objects inside.
  """
  shown = files.printable(path)
  if path.suffix not in _READERS:
    raise ValueError(
      f"{shown} is neither .npz nor .safetensors. Weights in .pth, .bin or .h5 "
      "are not read: take the .safetensors of the same network, or convert "
      "with the library that wrote them"
    )
  with files.open_regular(path) as file:
    if not file.read(1):
      raise ValueError(f"{shown} is empty: fetch it again")
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  # Readers meet whatever others have written: any failure is one of the file.
  try:
    entries, notes = _READERS[path.suffix](path, mapping)
  except Exception as error:
    raise ValueError(
      f"{shown} is not a {path.suffix} file, or is cut off or damaged: "
      f"{_words(error)}; fetch it again"
    ) from error
  return ArrayFile(path, entries, notes, mapping)


def _words(error: Exception) -> str:
  return files.printable(str(error)) or type(error).__name__


def write(
  path: pathlib.Path,
  arrays: Mapping[str, np.ndarray],
  *,
  note: str = "",
) -> None:
  """Writes arrays as .npz or .safetensors, by the ending of the path.

  Args:
    path: of the file, which is written whole or not at all.
    arrays: by name.
    note: text that the file carries beside its arrays.

  Raises:
    ValueError: another ending.
  """
  if path.suffix not in _READERS:
    raise ValueError(
      f"{files.printable(path)}: weights are written as {' or '.join(_READERS)}"
    )
  with files.writing(path) as file:
    if path.suffix == ".npz":
      npz.write(file, dict(arrays), comment=note)
    else:
      metadata = {"format": "pt", **({"jaxvision": note} if note else {})}
      safetensors.write(file, arrays, metadata=metadata)


def note(file: ArrayFile) -> str:
  """Returns the text that `write` put beside the arrays; "" without one."""
  name = "comment" if file.path.suffix == ".npz" else "jaxvision"
  return file.notes.get(name, "")
