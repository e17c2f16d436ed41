"""Arrays of an .npz file, with a check of their size before they are read.

An .npz is a zip file of .npy files. Any fault raises one error, which names the
file.
"""

import math
import os
import pathlib
import zipfile
from typing import IO

import numpy as np

from jaxvision import files
from jaxvision.data.formats import refusal

Arrays = dict[str, np.ndarray]

# Arrays with a larger compression ratio are rejected as decompression bombs.
# Deflate makes photographs 1.0 to 1.5 times smaller, digits 7 times, and zeros
# 1,000 times.
_BOMB_RATIO, _BOMB_BYTES = 200, 1 << 30
_HEADERS = {
  (1, 0): np.lib.format.read_array_header_1_0,
  (2, 0): np.lib.format.read_array_header_2_0,
}


def read(path: pathlib.Path, *, remedy: str) -> Arrays:
  """Reads all arrays of a file.

  Args:
    path: of the file.
    remedy: what to do about a wrong file, for the message.

  Raises:
    OSError: the file cannot be opened.
    ValueError: the file is not an .npz file, is damaged or encrypted, contains
      objects or two arrays of the same name, or is too large for the memory.
  """
  what = f"{path} is not an .npz file of plain arrays"
  with files.open_regular(path) as opened, refusal.naming(what, remedy=remedy):
    return _read(opened)


def _read(opened: IO[bytes]) -> Arrays:
  with zipfile.ZipFile(opened) as archive:
    members = {}
    for info in archive.infolist():
      name = info.filename.removesuffix(".npy")
      if name in members:
        raise ValueError(f"it has two arrays {name!r}")
      members[name] = info
    _check_memory(list(members.values()))
    return {name: _array(archive, info) for name, info in members.items()}


def _check_memory(infos: list[zipfile.ZipInfo]) -> None:
  total = sum(info.file_size for info in infos)
  memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  if total > memory:
    raise ValueError(
      f"its arrays need {total / 2**30:,.1f} GiB, but this machine has "
      f"{memory / 2**30:,.1f} GiB of memory"
    )
  for info in infos:
    size, packed = info.file_size, max(1, info.compress_size)
    if size > _BOMB_BYTES and size > _BOMB_RATIO * packed:
      raise ValueError(
        f"{info.filename} states {size / 2**30:,.1f} GiB in {packed:,} bytes; "
        "if this is correct, store it uncompressed"
      )


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
  with archive.open(info) as member:
    _check_size(member, info)
  with archive.open(info) as member:
    return np.lib.format.read_array(member, allow_pickle=False)


def _check_size(member: IO[bytes], info: zipfile.ZipInfo) -> None:
  """Checks the stated size against the bytes, before memory is allocated."""
  read_header = _HEADERS.get(np.lib.format.read_magic(member))
  if read_header is None:
    return  # version 3 differs from version 2 only in the names of fields
  shape, _, dtype = read_header(member)
  wanted, there = math.prod(shape) * dtype.itemsize, info.file_size
  if not dtype.hasobject and wanted != there - member.tell():
    raise ValueError(
      f"{info.filename} is {dtype} of shape {shape}, which needs {wanted:,} "
      f"bytes, but has {there - member.tell():,}"
    )
