"""The format .npz: a zip file with an .npy file for each array.

Uncompressed arrays are views of the mapped file; their checksum is verified at
the first read, as in numpy. Compressed arrays are decompressed at each read.
Pickles are never read.

Sizes are checked before memory is used: those of the zip file, of the header of
an array, and of its content.
"""

import functools
import io
import math
import mmap
import pathlib
import zipfile

import ml_dtypes
import numpy as np

from jaxvision.weights.formats import array_file, zip_members
from jaxvision.weights.formats.array_file import ArrayFile, Entry

_LARGEST_NPY_HEADER = 10_000  # bytes; numpy's limit
_RAW_BFLOAT16 = np.dtype("V2")
_KINDS = "fiubcSU"


def read(path: pathlib.Path, mapping: mmap.mmap) -> ArrayFile:
  """Returns the arrays of a mapped file; its comment is a note.

  Raises:
    Exception: the file is damaged or too large; the type varies.
  """
  zip_members.check_directory(mapping)
  entries: dict[str, Entry] = {}
  with zipfile.ZipFile(path) as archive:
    for info in zip_members.listed(
      archive, size=len(mapping), remedy="numpy.savez"
    ):
      name = info.filename.removesuffix(".npy")
      if name in entries:
        raise ValueError(f"two members have the name {name}")
      entries[name] = _entry(path, archive, mapping, info)
    comment = archive.comment.decode("utf-8", "replace")
  return ArrayFile(path, entries, {"comment": comment} if comment else {})


def write(file, arrays: dict[str, np.ndarray], *, comment: str = "") -> None:
  """Writes arrays, and a zip comment, which other readers ignore."""
  np.savez(file, **arrays)
  if comment:
    file.seek(0)
    with zipfile.ZipFile(file, "a") as archive:
      archive.comment = comment.encode()


def _entry(
  path: pathlib.Path,
  archive: zipfile.ZipFile,
  mapping: mmap.mmap,
  info: zipfile.ZipInfo,
) -> Entry:
  name = info.filename.removesuffix(".npy")
  with archive.open(info) as member:
    shape, fortran, dtype, header = _npy_header(member, name)
  nbytes = math.prod(shape) * dtype.itemsize
  if header + nbytes != info.file_size:
    raise ValueError(
      f"{name} has {info.file_size:,} bytes, but its header states "
      f"{header + nbytes:,}"
    )
  # An array in Fortran order is stored as its transpose.
  laid_out = shape[::-1] if fortran else shape
  if zip_members.is_stored(info):
    start = zip_members.data_offset(mapping, info, name)
    check = functools.cache(
      functools.partial(zip_members.check_sum, mapping, start, info, name)
    )
    offset = start + header
    forget = functools.partial(array_file.forget, mapping, offset, nbytes)

    def load() -> np.ndarray:
      check()
      return array_file.view(mapping, offset, laid_out, dtype)
  else:
    check = functools.partial(zip_members.check_inflated, path, info, name)
    forget = array_file.nothing

    def load() -> np.ndarray:
      content = zip_members.inflated(path, info, name, skip=header)
      return np.frombuffer(content, dtype).reshape(laid_out)

  typed = np.dtype(ml_dtypes.bfloat16) if dtype == _RAW_BFLOAT16 else dtype

  def read_typed() -> np.ndarray:
    array = load()
    return (array.T if fortran else array).view(typed)

  return Entry(shape, typed, read_typed, check, forget)


def _npy_header(
  member, name: str
) -> tuple[tuple[int, ...], bool, np.dtype, int]:
  """Returns shape, Fortran order, type and size of the header in bytes."""
  start = io.BytesIO(member.read(_LARGEST_NPY_HEADER))
  version = np.lib.format.read_magic(start)
  readers = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  if version not in readers:
    raise ValueError(f"{name} has .npy version {version}; expected 1 or 2")
  shape, fortran, dtype = readers[version](start)
  if dtype.hasobject:
    raise ValueError(
      f"{name} has Python objects (a pickle), which are not read"
    )
  known = dtype.kind in _KINDS or dtype == _RAW_BFLOAT16
  if not known or not dtype.itemsize or dtype.names or dtype.subdtype:
    raise ValueError(f"{name} has the type {dtype}; numbers are expected")
  if any(n < 0 for n in shape):
    raise ValueError(f"{name} has the shape {shape}")
  return shape, fortran, dtype, start.tell()
