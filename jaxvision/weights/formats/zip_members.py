"""Members of a zip file that is mapped into memory.

A stored member is a part of the mapping. A compressed member is decompressed at
each read. Sizes are checked before memory is used: of the list of members, and
of all members after decompression.
"""

import mmap
import pathlib
import struct
import zipfile
import zlib

from jaxvision.weights.formats import array_file

_LOCAL_HEADER = 30  # bytes of a local header in a zip file, without its names
_END = 22  # bytes of the record that ends a zip file, without its comment
_LARGEST_COMMENT = 0xFFFF
_LARGEST_DIRECTORY = 1 << 24  # bytes: 10,000 arrays have a megabyte
_BLOCK = 1 << 20
# Maximum ratio: trained weights compress by 10 %, zeros 1000 times.
_INFLATION = 64
_ALWAYS_INFLATED = 1 << 30  # bytes
_ENCRYPTED = 1  # flag of a member


def listed(
  archive: zipfile.ZipFile, *, size: int, remedy: str
) -> list[zipfile.ZipInfo]:
  """Returns the members of an archive, without folders.

  Args:
    archive: the archive, after `check_directory`.
    size: bytes of the file.
    remedy: how to write a valid file that is too large here.

  Raises:
    ValueError: the decompressed size is too large, or members overlap.
  """
  members = [info for info in archive.infolist() if not info.is_dir()]
  if sum(info.compress_size for info in members) > size:
    raise ValueError("its members overlap, or it is truncated")
  inflated = sum(info.file_size for info in members if not is_stored(info))
  limit = max(_ALWAYS_INFLATED, _INFLATION * size)
  if inflated > limit:
    raise ValueError(
      f"it has {size:,} bytes and its decompressed size is {inflated:,} bytes; "
      f"at most {limit:,} are allowed. Save a valid file again with {remedy}"
    )
  return members


def check_directory(mapping: mmap.mmap) -> None:
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


def is_stored(info: zipfile.ZipInfo) -> bool:
  """Whether a member is not compressed."""
  return info.compress_type == zipfile.ZIP_STORED


def check_deflated(info: zipfile.ZipInfo, name: str) -> None:
  """Raises ValueError unless a compressed member can be decompressed."""
  if info.compress_type != zipfile.ZIP_DEFLATED:
    raise ValueError(
      f"{name} has the compression {info.compress_type}; expected deflate or "
      "none"
    )
  _check_not_encrypted(info, name)


def _check_not_encrypted(info: zipfile.ZipInfo, name: str) -> None:
  if info.flag_bits & _ENCRYPTED:
    raise ValueError(f"{name} is encrypted, which is not supported")


def data_offset(mapping: mmap.mmap, info: zipfile.ZipInfo, name: str) -> int:
  """Returns the offset of the content of a stored member.

  Raises:
    ValueError: the member is encrypted, or is not inside the file.
  """
  _check_not_encrypted(info, name)
  names, extra = struct.unpack_from("<HH", mapping, info.header_offset + 26)
  start = info.header_offset + _LOCAL_HEADER + names + extra
  if info.compress_size != info.file_size:
    raise ValueError(f"{name} is stored with two sizes")
  if start + info.file_size > len(mapping):
    raise ValueError(f"{name} ends after the end of the file")
  return start


def check_sum(
  mapping: mmap.mmap, start: int, info: zipfile.ZipInfo, name: str
) -> None:
  """Raises ValueError if a stored member has another checksum."""
  found = 0
  for block in array_file.blocks(mapping, start, info.file_size):
    found = zlib.crc32(block, found)
  if found != info.CRC:
    raise damaged(name, f"its checksum is {found:08x}, not {info.CRC:08x}")


def check_inflated(
  path: pathlib.Path, info: zipfile.ZipInfo, name: str
) -> None:
  """Raises ValueError if a compressed member is damaged."""
  try:
    with zipfile.ZipFile(path) as archive, archive.open(info) as member:
      left = info.file_size
      while block := member.read(_BLOCK):
        left -= len(block)
  except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise damaged(name, str(error)) from error
  if left:
    raise damaged(name, f"{left:,} bytes are missing")


def inflated(
  path: pathlib.Path, info: zipfile.ZipInfo, name: str, *, skip: int = 0
) -> bytes:
  """Returns the content of a member after its first bytes.

  Raises:
    ValueError: the member is damaged.
  """
  try:
    with zipfile.ZipFile(path) as archive, archive.open(info) as member:
      member.read(skip)
      content = member.read()
  except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise damaged(name, str(error)) from error
  if skip + len(content) != info.file_size:
    raise damaged(name, "it is truncated")
  return content


def damaged(name: str, why: str) -> ValueError:
  """Returns the error of a member that is damaged."""
  return ValueError(f"{name} is damaged ({why}): fetch the file again")
