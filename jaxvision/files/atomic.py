"""Files that are written whole, and regular files that are read whole.

A file is written as NAME.part, brought to the disk, and then renamed: a reader
sees the old content or the new one, also after a power cut.

Standard library only.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import IO

from jaxvision.files.escaping import escape

Path = pathlib.Path
StrPath = str | os.PathLike[str]

_SURROGATES = re.compile("[\ud800-\udfff]")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def writing(path: StrPath, *, mode: int | None = None) -> Iterator[IO[bytes]]:
  """Gives a file to write; it replaces `path` when the block ends well.

  Several processes or threads may write one path: each writes it whole, one
  after the other. A link is followed.

  Args:
    path: in a folder that exists.
    mode: permissions, such as 0o600; None are those that the file has had, or
      those of any new file.

  Raises:
    OSError: the file cannot be written, or is a device, pipe or socket. What
      was there before is still there.
  """
  path = Path(os.path.realpath(path))
  with contextlib.suppress(FileNotFoundError):
    before = path.stat().st_mode
    _check_regular(before, path)
    mode = stat.S_IMODE(before) if mode is None else mode
  part = path.with_name(path.name + ".part")
  with _locked_part(part) as file:
    try:
      if mode is not None:
        os.fchmod(file.fileno(), mode)
      file.truncate(0)
      yield file
      file.flush()
      os.fsync(file.fileno())
      part.replace(path)
    except BaseException as error:
      part.unlink(missing_ok=True)
      if isinstance(error, OSError) and error.errno:
        error.filename = error.filename or str(path)
      raise
  _sync_folder(path.parent)


def write_bytes(
  path: StrPath, content: bytes, *, mode: int | None = None
) -> None:
  """Writes a file whole or not at all; see `writing`."""
  with writing(path, mode=mode) as file:
    file.write(content)


def write_text(path: StrPath, text: str, *, mode: int | None = None) -> None:
  r"""Writes UTF-8 whole or not at all; bytes of no character become `\xff`."""
  write_bytes(path, _SURROGATES.sub(_escaped, text).encode(), mode=mode)


def read_bytes(path: StrPath, *, limit: int) -> bytes:
  """Reads a regular file of at most `limit` bytes; never waits for a pipe.

  Raises:
    OSError: it cannot be read, is no regular file, or is larger.
  """
  with open_regular(path) as file:
    size = os.fstat(file.fileno()).st_size
    if size > limit:
      raise OSError(
        errno.EFBIG,
        f"{size} bytes, where at most {limit} are expected",
        os.fspath(path),
      )
    return file.read()


def open_regular(path: StrPath) -> IO[bytes]:
  """Opens a regular file to read; a pipe, socket, device or folder is refused.

  Raises:
    OSError: it cannot be opened, or is something else.
  """
  # Without O_NONBLOCK, opening a pipe waits for somebody who writes.
  descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  try:
    _check_regular(os.fstat(descriptor).st_mode, path)
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")
  except BaseException:
    os.close(descriptor)
    raise


def _check_regular(mode: int, path: StrPath) -> None:
  path = os.fspath(path)  # the text of an error shows it as it is
  if stat.S_ISDIR(mode):
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
  if not stat.S_ISREG(mode):
    raise OSError(
      errno.EINVAL, "it is a device, pipe or socket, not a regular file", path
    )


@contextlib.contextmanager
def _locked_part(part: Path) -> Iterator[IO[bytes]]:
  """Opens NAME.part, which only one process and thread has at a time."""
  flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
  while True:
    descriptor = os.open(part, flags, 0o666)
    with open(descriptor, "r+b") as file:
      _check_regular(os.fstat(descriptor).st_mode, part)
      flock(descriptor, fcntl.LOCK_EX)
      # Whoever had it before has renamed it, and this would write to that.
      if not _is_at(part, descriptor):
        continue
      yield file
      return


def _is_at(path: Path, descriptor: int) -> bool:
  try:
    return os.path.samestat(os.stat(path), os.fstat(descriptor))
  except FileNotFoundError:
    return False


def flock(descriptor: int, operation: int) -> bool:
  """`fcntl.flock`; False where the file system has no locks.

  Raises:
    BlockingIOError: another has it, and the operation does not wait.
    OSError: anything else.
  """
  try:
    fcntl.flock(descriptor, operation)
  except BlockingIOError:
    raise
  except OSError as error:
    if error.errno not in _NO_LOCKS:
      raise
    return False
  return True


def _sync_folder(folder: Path) -> None:
  """Brings the names in a folder to the disk, where that is possible."""
  with contextlib.suppress(OSError):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)


def disk_is_full(error: BaseException) -> bool:
  """Whether a write failed for want of space: of the disk, or of a quota."""
  # By their text: some libraries raise other errors, which quote the system's.
  full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
  return any(os.strerror(number) in str(error) for number in full)


def _escaped(match: re.Match[str]) -> str:
  return escape(match[0])
