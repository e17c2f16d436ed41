"""Groups of neighbouring members in a tar file, and where their content lies.

Members of one name up to the first dot of its last part belong together:
"n01/7.jpg" and "n01/7.cls" are the group "n01/7".
"""

import os
import pathlib
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

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
    ValueError: compressed, no tar file, cut or damaged.
  """
  current, members = None, {}
  for name, place in _members(path, opened):
    folder, _, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    key = f"{folder}/{stem}" if folder else stem
    if key != current and members:
      yield current, members
      members = {}
    current = key
    members[extension.lower()] = place
  if members:
    yield current, members


def _members(
  path: pathlib.Path, opened: BinaryIO
) -> Iterator[tuple[str, Place]]:
  """(name, place) of all files in a tar file."""
  try:
    with tarfile.open(fileobj=opened, mode="r:") as archive:
      while (member := archive.next()) is not None:
        # It would keep all of them.
        archive.members.clear()
        if member.isfile():
          yield member.name, (member.offset_data, member.size)
      end = os.pread(opened.fileno(), _BLOCK, archive.offset)
  except tarfile.TarError as error:
    raise ValueError(
      f"{path} cannot be read in any order, because it is no plain tar file, "
      f"or cut: {error}; unpack .gz and the like first, or copy it again"
    ) from error
  # Damage in the middle would otherwise pass for the end.
  if end != bytes(_BLOCK):
    raise ValueError(
      f"{path} is cut or damaged: there is no end of archive at byte "
      f"{archive.offset}; copy the file again from where it was made"
    )
