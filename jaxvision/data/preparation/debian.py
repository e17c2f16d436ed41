"""Debian packages: the tar archive of the files that a package installs.

A package is an ar archive: a first line "!<arch>", then members, each after a
header of 60 bytes with the name in the first 16 and the size, in decimal
digits, in bytes 48 to 58; members begin at even offsets (man 5 ar, man 5 deb).
The member data.tar, data.tar.gz, .bz2 or .xz has the files.
"""

import bz2
import lzma
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from jaxvision import files
from jaxvision.data.formats import refusal

_MAGIC = b"!<arch>\n"
_HEADER, _END = 60, b"`\n"
_BLOCK = 1 << 20
_DECOMPRESSORS = {
  ".gz": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
  ".bz2": bz2.BZ2Decompressor,
  ".xz": lzma.LZMADecompressor,
}


def unpacked(package: pathlib.Path, *, scratch: pathlib.Path) -> pathlib.Path:
  """Writes the files of a package to an uncompressed tar archive.

  Args:
    package: a .deb.
    scratch: an existing folder for the archive, which is reused if it exists.

  Raises:
    ValueError: the file is not a package, is truncated, or is compressed by a
      method that is not supported.
  """
  target = scratch / f"{package.stem}.tar"
  if target.exists():
    return target
  what = f"{package} cannot be read as a Debian package"
  with (
    refusal.naming(what, remedy="download it again"),
    package.open("rb") as file,
  ):
    name, size = _find(file)
    with files.writing(target) as written:
      for block in _decompressed(file, name, size):
        written.write(block)
  return target


def _find(file: BinaryIO) -> tuple[str, int]:
  """Name and size of the archive of files; the file is then at its start."""
  if file.read(len(_MAGIC)) != _MAGIC:
    raise ValueError("it is not an ar archive")
  while header := file.read(_HEADER):
    if len(header) < _HEADER or not header.endswith(_END):
      raise ValueError("a header is truncated or damaged")
    name = header[:16].decode("ascii").strip().rstrip("/")
    size = int(header[48:58])
    if name.startswith("data.tar"):
      return name, size
    file.seek(size + size % 2, os.SEEK_CUR)
  raise ValueError("it has no data.tar")


def _decompressed(file: BinaryIO, name: str, size: int) -> Iterator[bytes]:
  """The blocks of a member after decompression."""
  suffix = name.removeprefix("data.tar")
  if not suffix:
    yield from _blocks(file, size)
    return
  if suffix not in _DECOMPRESSORS:
    raise ValueError(
      f"{name} is compressed by an unsupported method; unpack the package with "
      "`dpkg-deb -x FILE.deb FOLDER` and give --source=FOLDER"
    )
  decompressor = _DECOMPRESSORS[suffix]()
  for block in _blocks(file, size):
    yield decompressor.decompress(block)
  if not decompressor.eof:
    raise ValueError(f"{name} is truncated")


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
  while size:
    block = file.read(min(size, _BLOCK))
    if not block:
      raise ValueError(f"it ends {size} bytes too early")
    size -= len(block)
    yield block
