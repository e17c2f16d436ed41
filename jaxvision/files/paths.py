"""Paths as users write them, and as libraries can read them."""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator

from jaxvision.files.escaping import printable

Path = pathlib.Path

# Read as a pattern ([ ] * ?), a separator (\) or an address (:/) by Orbax and
# TensorStore; they refuse names that are no Unicode.
_MISREAD = re.compile("[\\[*?\\\\\ud800-\udfff]|:(?=/|$)")
_OPENED = Path("/proc/self/fd")


def expanded(path: str) -> str:
  """A path with the home folder in place of ~; addresses stay as they are."""
  return os.path.expanduser(path)


@contextlib.contextmanager
def plain(folder: str | os.PathLike[str], *, alone: bool) -> Iterator[Path]:
  """Gives a path to a folder that libraries read as it is meant.

  It is the absolute one; where that has special characters, the system's name
  of the opened folder. `real` turns it back.

  Args:
    folder: is made if it is not there, in the second case.
    alone: whether no other process needs the same path.

  Raises:
    ValueError: no such path can be had; see `check_plain`.
    OSError: the folder cannot be opened.
  """
  folder = Path(folder).absolute()
  check_plain(folder, alone=alone)
  if not _MISREAD.search(str(folder)):
    yield folder
    return
  folder.mkdir(parents=True, exist_ok=True)
  descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
  try:
    yield _OPENED / str(descriptor)
  finally:
    os.close(descriptor)


def check_plain(folder: str | os.PathLike[str], *, alone: bool) -> None:
  """Whether `plain` can name a folder.

  Raises:
    ValueError: it cannot; the message has the character and the remedy.
  """
  found = _MISREAD.search(str(Path(folder).absolute()))
  if found and not (alone and _OPENED.is_dir()):
    reason = "there is no /proc" if alone else "several processes share it"
    raise ValueError(
      f"the path {printable(folder)} has {printable(found[0])} in "
      "it, which the library that writes checkpoints takes for something else, "
      f"and {reason}: choose a folder without [ * ? \\, with names in UTF-8 "
      "that do not end in a colon"
    )


def real(path: str | os.PathLike[str]) -> Path:
  """The path that `plain` stands for; others as they are."""
  path = Path(path)
  if path.parts[: len(_OPENED.parts)] != _OPENED.parts:
    return path
  opened, *inside = path.parts[len(_OPENED.parts) :]
  return Path(os.readlink(_OPENED / opened), *inside)
