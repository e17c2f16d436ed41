"""Groups of neighbouring members in a tar file, and their byte ranges.

Members whose names agree up to the first dot of the file name form a group:
"n01/7.jpg" and "n01/7.cls" are the group "n01/7". Hidden files ("._7.jpg",
".ipynb_checkpoints/7.jpg", "__MACOSX/7.jpg") are skipped.
"""

import os
import pathlib
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from jaxvision.data.decoding import image_files
from jaxvision.data.formats import refusal

# (first byte, bytes)
Place = tuple[int, int]

_BLOCK = 512  # bytes of a block of a tar file


def read(
  path: pathlib.Path, opened: BinaryIO
) -> Iterator[tuple[str, dict[str, Place]]]:
  """Yields the groups of a tar file.

  Args:
    path: of the file, for messages.
    opened: the file, without a buffer, because only headers are read.

  Yields:
    (key, {extension: place}); the extension is in lower case without its dot.

  Raises:
    ValueError: the file is compressed, not a tar file, truncated or damaged;
      two members have the same name, or names that differ only in the case of
      the extension; or a member is sparse.
  """
  current, members, finished = None, {}, set()
  for name, place in _members(path, opened):
    folder, _, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    key = f"{folder}/{stem}" if folder else stem
    if key != current:
      if members:
        yield current, members
      finished.update(hash((current, each)) for each in members)
      current, members = key, {}
    extension = extension.lower()
    if extension in members or hash((key, extension)) in finished:
      raise ValueError(
        f"{path} has {name!r} more than once (the case of the extension is "
        "ignored), so that images and labels cannot be matched; give each "
        "example its own name"
      )
    members[extension] = place
  if members:
    yield current, members


def _members(
  path: pathlib.Path, opened: BinaryIO
) -> Iterator[tuple[str, Place]]:
  """(name, place) of all files in a tar file that are not hidden."""
  size = os.fstat(opened.fileno()).st_size
  what = (
    f"{path} cannot be read in any order, because it is not an uncompressed "
    "tar file, or is truncated"
  )
  remedy = "decompress .gz and similar files first, or copy the file again"
  with (
    refusal.naming(what, remedy=remedy),
    tarfile.open(fileobj=opened, mode="r:") as archive,
  ):
    before = -1
    while (member := archive.next()) is not None:
      # tarfile would keep all members in memory.
      archive.members.clear()
      check_member(member, after=archive.offset, before=before, end=size)
      before = archive.offset
      name = member.name.removeprefix("./")
      if member.isfile() and not image_files.is_hidden(name):
        yield name, (member.offset_data, member.size)
    end = os.pread(opened.fileno(), _BLOCK, archive.offset)
  # Without this check, damage in the middle would look like the end.
  if end != bytes(_BLOCK):
    raise ValueError(
      f"{path} is truncated or damaged: expected the end of the archive at "
      f"byte {archive.offset}; copy the file again from its source"
    )


def check_member(
  member: tarfile.TarInfo, *, after: int, before: int, end: int
) -> None:
  """Checks that a member is complete, not sparse, and followed by the next one.

  Args:
    member: of an archive.
    after: the offset after this member.
    before: the offset after the previous member.
    end: the end of the archive.

  Raises:
    ValueError: the check failed.
  """
  if member.issparse():
    raise ValueError(
      f"{member.name!r} is a sparse file; write it as a normal file"
    )
  if after <= before or member.size < 0:
    raise ValueError(f"{member.name!r} states a size of {member.size} bytes")
  if member.isfile() and member.offset_data + member.size > end:
    raise ValueError(
      f"{member.name!r} states {member.size:,} bytes, more than are left"
    )
