"""Image files: their extensions, and the search for them below a folder."""

import errno
import os
import pathlib
from collections.abc import Iterable

from jaxvision import files
from jaxvision.data.decoding import formats

_JPEG = (".jfif", ".jpe", ".jpeg", ".jpg")
_NETPBM = (".pbm", ".pgm", ".pnm", ".ppm")
_OTHERS = (".avif", ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp")
# Maximum size of a file in bytes: 8 bytes for each of 128 million pixels.
MAX_BYTES = 2**30
# Files up to this size are read before their format is checked.
_SMALL = 2**24
EXTENSIONS = frozenset((*_JPEG, *_NETPBM, *_OTHERS))
# Folders that operating systems create, without a leading dot.
_OF_SYSTEMS = (
  "$recycle.bin",
  "@eadir",
  "__macosx",
  "lost+found",
  "system volume information",
)


def is_hidden(path: str) -> bool:
  """Whether a file, or a folder above it, is hidden or a system folder.

  Args:
    path: relative, with slashes: "photos/._1.jpg", "__MACOSX/1.jpg".
  """
  return any(
    part not in (".", "..")
    and (part.startswith(".") or part.lower() in _OF_SYSTEMS)
    for part in path.split("/")
  )


def list_images(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
  """Returns the given files, and all images below the given folders, sorted.

  Hidden files and folders below a folder are skipped.

  Raises:
    FileNotFoundError: a folder contains no image.
  """
  found: list[pathlib.Path] = []
  for path in map(pathlib.Path, paths):
    below = _below(path) if path.is_dir() else [path]
    if not below:
      raise FileNotFoundError(
        f"no image in {path}; looked for {' '.join(sorted(EXTENSIONS))}"
      )
    found.extend(below)
  return found


def _below(folder: pathlib.Path) -> list[pathlib.Path]:
  """The images below a folder, sorted."""
  found = []
  for directory, inside, names in os.walk(folder):
    inside[:] = [each for each in inside if not is_hidden(each)]
    found += [
      pathlib.Path(directory, name)
      for name in names
      if os.path.splitext(name)[1].lower() in EXTENSIONS and not is_hidden(name)
    ]
  return sorted(found)


def is_directory(entry: os.DirEntry) -> bool:
  """Whether an entry is a folder; False for a link to itself."""
  try:
    return entry.is_dir()
  except OSError:
    return False


def read(path: str | os.PathLike) -> bytes:
  """The content of an image file.

  Raises:
    OSError: the file cannot be read, is not a regular file (opening a pipe
      would wait for a writer), or is too large for an image.
  """
  with files.open_regular(path) as opened:
    size = os.fstat(opened.fileno()).st_size
    check_bytes(size, path)
    head = opened.read(formats.HEAD) if size > _SMALL else b""
    if head and formats.recognise(head) is None:
      reason = formats.describe_other(head)
      raise OSError(errno.EINVAL, f"{size} bytes, {reason}", os.fspath(path))
    return head + opened.read()


def check_bytes(size: int, path: str | os.PathLike) -> None:
  """Rejects a file of more than MAX_BYTES.

  Raises:
    OSError: the content would fill the memory.
  """
  if size > MAX_BYTES:
    raise OSError(
      errno.EINVAL,
      f"an image of {size:,} bytes, more than {MAX_BYTES:,}",
      os.fspath(path),
    )
