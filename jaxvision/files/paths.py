"""Paths as users write them, and paths that libraries read correctly."""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator

from jaxvision.files.escaping import printable

Path = pathlib.Path

# Orbax and TensorStore interpret these characters as a pattern ([ ] * ?), a
# separator (\) or a URL (:/). They reject names that are not Unicode.
_MISREAD = re.compile("[\\[*?\\\\\ud800-\udfff]|:(?=/|$)")
_OPENED = Path("/proc/self/fd")


def expanded(path: str) -> str:
  """Replaces ~ by the home folder; URLs stay unchanged."""
  return os.path.expanduser(path)


@contextlib.contextmanager
def plain(folder: str | os.PathLike[str], *, alone: bool) -> Iterator[Path]:
  """Gives a path to a folder that Orbax and TensorStore read literally.

  It is the absolute path. If that path has special characters, it is the path
  of the opened folder in /proc/self/fd. `real` converts it back.

  Args:
    folder: the folder. It is created in the second case if it does not exist.
    alone: whether this is the only process that needs the path.

  Raises:
    ValueError: there is no such path; see `check_plain`.
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
  """Checks that `plain` can give a path to a folder.

  Raises:
    ValueError: it cannot. The message names the character and the remedy.
  """
  found = _MISREAD.search(str(Path(folder).absolute()))
  if found and not (alone and _OPENED.is_dir()):
    reason = "there is no /proc" if alone else "several processes share it"
    raise ValueError(
      f"the path {printable(folder)} contains {printable(found[0])}, which the "
      "checkpoint library does not read literally, and the workaround is not "
      f"possible here: {reason}. Choose a folder without [ * ? \\, with names "
      "in UTF-8 that do not end in a colon"
    )


def real(path: str | os.PathLike[str]) -> Path:
  """The original path of a path from `plain`; other paths stay unchanged."""
  path = Path(path)
  if path.parts[: len(_OPENED.parts)] != _OPENED.parts:
    return path
  opened, *inside = path.parts[len(_OPENED.parts) :]
  return Path(os.readlink(_OPENED / opened), *inside)
