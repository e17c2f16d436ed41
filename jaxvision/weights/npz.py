"""The format .npz: a zip file with an .npy file for each array.

Uncompressed arrays are views of the mapped file; their checksum is verified at
the first read, as in numpy. Compressed arrays are decompressed at each read.
Pickles are never read.

Sizes are checked before memory is used: of the list of members, the header of
an array, its content, and the decompressed size of the file.
"""

import functools
import io
import math
import mmap
import pathlib
import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np

from jaxvision.weights import array_file
from jaxvision.weights.array_file import Entry

_LOCAL_HEADER = 30  # bytes of a local header in a zip file, without its names
_END = 22  # bytes of the record that ends a zip file, without its comment
_LARGEST_COMMENT = 0xFFFF
_LARGEST_DIRECTORY = 1 << 24  # bytes: 10,000 arrays have a megabyte
_LARGEST_NPY_HEADER = 10_000  # bytes; numpy's limit
_BLOCK = 1 << 20
# Maximum ratio: trained weights compress by 10 %, zeros 1000 times.
_INFLATION = 64
_ALWAYS_INFLATED = 1 << 30  # bytes
_RAW_BFLOAT16 = np.dtype("V2")
_KINDS = "fiubcSU"


def read(
  path: pathlib.Path, mapping: mmap.mmap
) -> tuple[dict[str, Entry], dict[str, str]]:
  """Returns the arrays of a mapped file, and its comment if it has one.

  Raises:
    Exception: the file is damaged or too large; the type varies.
  """
  _check_directory(mapping)
  entries: dict[str, Entry] = {}
  with zipfile.ZipFile(path) as archive:
    members = [info for info in archive.infolist() if not info.is_dir()]
    _check_inflation(members, size=len(mapping))
    for info in members:
      name = info.filename.removesuffix(".npy")
      if name in entries:
        raise ValueError(f"two members have the name {name}")
      entries[name] = _entry(path, archive, mapping, info)
    comment = archive.comment.decode("utf-8", "replace")
  return entries, {"comment": comment} if comment else {}


def write(file, arrays: dict[str, np.ndarray], *, comment: str = "") -> None:
  """Writes arrays, and a zip comment, which other readers ignore."""
  np.savez(file, **arrays)
  if comment:
    file.seek(0)
    with zipfile.ZipFile(file, "a") as archive:
      archive.comment = comment.encode()


def _check_directory(mapping: mmap.mmap) -> None:
  """Raises ValueError if the list of members is too large."""
  start = max(0, len(mapping) - _END - _LARGEST_COMMENT)
  end = mapping.rfind(b"PK\5\6", start)
  if end < 0:
    raise ValueError("the end record of the zip file is missing")
  (size,) = struct.unpack_from("<L", mapping, end + 12)
  if size == 0xFFFFFFFF:  # zip64 has the size in another record
    _, _, record, _ = struct.unpack_from("<4sLQL", mapping, end - 20)
    (size,) = struct.unpack_from("<Q", mapping, record + 40)
  if size > _LARGEST_DIRECTORY:
    raise ValueError(
      f"its list of members has {size:,} bytes; at most {_LARGEST_DIRECTORY:,} "
      "are allowed"
    )


def _check_inflation(members: list[zipfile.ZipInfo], *, size: int) -> None:
  inflated = sum(
    info.file_size
    for info in members
    if info.compress_type != zipfile.ZIP_STORED
  )
  limit = max(_ALWAYS_INFLATED, _INFLATION * size)
  if inflated > limit:
    raise ValueError(
      f"it has {size:,} bytes and its decompressed size is {inflated:,} bytes; "
      f"at most {limit:,} are allowed. Save a valid file again with "
      "numpy.savez"
    )


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
  if info.compress_type == zipfile.ZIP_STORED:
    start = _data_offset(mapping, info)
    if start + info.file_size > len(mapping):
      raise ValueError(f"{name} ends after the end of the file")
    check = functools.cache(
      functools.partial(_check_sum, mapping, start, info, name)
    )
    offset = start + header

    def load() -> np.ndarray:
      check()
      return array_file.view(mapping, offset, laid_out, dtype)
  else:
    check = functools.partial(_check_inflated, path, info, name)
    offset = None

    def load() -> np.ndarray:
      content = _inflated(path, info, skip=header, name=name)
      return np.frombuffer(content, dtype).reshape(laid_out)

  typed = np.dtype(ml_dtypes.bfloat16) if dtype == _RAW_BFLOAT16 else dtype

  def read_typed() -> np.ndarray:
    array = load()
    return (array.T if fortran else array).view(typed)

  return Entry(shape, typed, read_typed, check, offset)


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


def _data_offset(mapping: mmap.mmap, info: zipfile.ZipInfo) -> int:
  """Returns the offset of the content of a member."""
  start = info.header_offset
  names, extra = struct.unpack_from("<HH", mapping, start + 26)
  return start + _LOCAL_HEADER + names + extra


def _check_sum(
  mapping: mmap.mmap, start: int, info: zipfile.ZipInfo, name: str
) -> None:
  found = 0
  for block in array_file.blocks(mapping, start, info.file_size):
    found = zlib.crc32(block, found)
  if found != info.CRC:
    raise _damaged(name, f"its checksum is {found:08x}, not {info.CRC:08x}")


def _check_inflated(
  path: pathlib.Path, info: zipfile.ZipInfo, name: str
) -> None:
  try:
    with zipfile.ZipFile(path) as archive, archive.open(info) as member:
      left = info.file_size
      while block := member.read(_BLOCK):
        left -= len(block)
  except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise _damaged(name, str(error)) from error
  if left:
    raise _damaged(name, f"{left:,} bytes are missing")


def _inflated(
  path: pathlib.Path, info: zipfile.ZipInfo, *, skip: int, name: str
) -> bytes:
  try:
    with zipfile.ZipFile(path) as archive, archive.open(info) as member:
      member.read(skip)
      content = member.read()
  except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise _damaged(name, str(error)) from error
  if skip + len(content) != info.file_size:
    raise _damaged(name, "it is truncated")
  return content


def _damaged(name: str, why: str) -> ValueError:
  return ValueError(f"{name} is damaged ({why}): fetch the file again")
