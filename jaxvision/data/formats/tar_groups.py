"""Groups of neighbouring members in a tar file, and where their content lies.

Members of one name up to the first dot of its last part belong together:
"n01/7.jpg" and "n01/7.cls" are the group "n01/7". Hidden files ("._7.jpg",
".ipynb_checkpoints/7.jpg", "__MACOSX/7.jpg") belong to none.
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

_BLOCK = 512  # bytes; what tar files consist of


def read(
  path: pathlib.Path, opened: BinaryIO
) -> Iterator[tuple[str, dict[str, Place]]]:
  """The groups of a tar file, one by one.

  Args:
    path: of the file, for messages.
    opened: the file, without a buffer: only headers are read.

  Returns:
    (key, {extension: place}), the extension in small letters without its dot.

  Raises:
    ValueError: compressed, no tar file, cut or damaged; two members of one
      name, or of names that differ in capitals of the extension; a sparse
      member.
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
        f"{path} has {name!r} more than once (capitals of the extension do not "
        "count), and no one can tell which belongs to which label; give each "
        "example a name of its own"
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
    f"{path} cannot be read in any order, because it is no plain tar file, or "
    "cut"
  )
  remedy = "unpack .gz and the like first, or copy it again"
  with (
    refusal.naming(what, remedy=remedy),
    tarfile.open(fileobj=opened, mode="r:") as archive,
  ):
    before = -1
    while (member := archive.next()) is not None:
      # It would keep all of them.
      archive.members.clear()
      check_member(member, after=archive.offset, before=before, end=size)
      before = archive.offset
      name = member.name.removeprefix("./")
      if member.isfile() and not image_files.is_hidden(name):
        yield name, (member.offset_data, member.size)
    end = os.pread(opened.fileno(), _BLOCK, archive.offset)
  # Damage in the middle would otherwise pass for the end.
  if end != bytes(_BLOCK):
    raise ValueError(
      f"{path} is cut or damaged: there is no end of archive at byte "
      f"{archive.offset}; copy the file again from where it was made"
    )


def check_member(
  member: tarfile.TarInfo, *, after: int, before: int, end: int
) -> None:
  """Whether a member is whole, of one piece, and followed by the next.

  Args:
    member: of an archive.
    after: where the archive goes on after it.
    before: where it went on after the member before.
    end: of the archive.

  Raises:
    ValueError: it is not.
  """
  if member.issparse():
    raise ValueError(f"{member.name!r} is sparse; write it whole")
  if after <= before or member.size < 0:
    raise ValueError(f"{member.name!r} claims a size of {member.size} bytes")
  if member.isfile() and member.offset_data + member.size > end:
    raise ValueError(
      f"{member.name!r} claims {member.size:,} bytes, more than are left"
    )
