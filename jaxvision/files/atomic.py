"""Atomic writes of files, and reads of regular files.

A file is written as NAME.part, synced to the disk and then renamed. A reader
sees the complete old content or the complete new content, also after a power
failure.

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

from jaxvision.files.escaping import escape, printable

Path = pathlib.Path
StrPath = str | os.PathLike[str]

_SURROGATES = re.compile("[\ud800-\udfff]")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def writing(path: StrPath, *, mode: int | None = None) -> Iterator[IO[bytes]]:
  """Opens a file for writing; it replaces `path` if the block succeeds.

  Several processes or threads may write the same path. Each one writes the
  complete file, one after the other. A symbolic link is followed.

  Args:
    path: of the file. Its folder must exist.
    mode: permissions, such as 0o600. None keeps the permissions of an existing
      file; a new file gets the default permissions.

  Raises:
    OSError: the file cannot be written, or it is a device, pipe or socket. The
      previous content is kept.
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
      move_written(part, path)
    except BaseException as error:
      part.unlink(missing_ok=True)
      if isinstance(error, OSError) and error.errno:
        error.filename = error.filename or str(path)
      raise


def move_written(part: Path, path: Path) -> None:
  """Renames a file that is complete; both steps are synced to the disk.

  Args:
    part: of the file, under its temporary name in the same folder.
    path: of the file, under its final name.
  """
  descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
  part.replace(path)
  _sync_folder(path.parent)


def write_bytes(
  path: StrPath, content: bytes, *, mode: int | None = None
) -> None:
  """Writes a file atomically; see `writing`."""
  with writing(path, mode=mode) as file:
    file.write(content)


def write_text(path: StrPath, text: str, *, mode: int | None = None) -> None:
  r"""Writes UTF-8 text atomically; undecodable bytes are written as `\xff`."""
  write_bytes(path, _SURROGATES.sub(_escaped, text).encode(), mode=mode)


def read_bytes(path: StrPath, *, limit: int) -> bytes:
  """Reads a regular file of at most `limit` bytes; never blocks on a pipe.

  Raises:
    OSError: the file cannot be read, is not a regular file, or is larger.
  """
  with open_regular(path) as file:
    size = os.fstat(file.fileno()).st_size
    if size > limit:
      raise OSError(
        errno.EFBIG,
        f"the file has {size} bytes; expected at most {limit}",
        os.fspath(path),
      )
    return file.read()


def read_text(path: StrPath, *, limit: int) -> str:
  """Reads a regular file as UTF-8, as `read_bytes`; a byte order mark is cut.

  Raises:
    OSError: as `read_bytes`.
    ValueError: the file is not UTF-8.
  """
  return decode_text(read_bytes(path, limit=limit), where=os.fspath(path))


def decode_text(content: bytes, *, where: str) -> str:
  """Bytes as UTF-8 text; a byte order mark is cut.

  Args:
    content: of a file, or of a part of one.
    where: the file or its part, for the message.

  Raises:
    ValueError: they are not UTF-8.
  """
  try:
    return content.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    raise ValueError(
      f"{printable(where)} is not UTF-8 text ({error.reason}); write it as "
      "UTF-8"
    ) from error


def open_regular(path: StrPath) -> IO[bytes]:
  """Opens a regular file for reading; rejects pipes, sockets, devices, folders.

  Raises:
    OSError: the file cannot be opened, or it is not a regular file.
  """
  # Without O_NONBLOCK, opening a pipe blocks until another process writes.
  descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  try:
    _check_regular(os.fstat(descriptor).st_mode, path)
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")
  except BaseException:
    os.close(descriptor)
    raise


def _check_regular(mode: int, path: StrPath) -> None:
  path = os.fspath(path)  # an OSError shows the repr of its file name
  if stat.S_ISDIR(mode):
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
  if not stat.S_ISREG(mode):
    raise OSError(
      errno.EINVAL,
      "expected a regular file, not a device, pipe or socket",
      path,
    )


@contextlib.contextmanager
def _locked_part(part: Path) -> Iterator[IO[bytes]]:
  """Opens NAME.part, locked by one process and thread at a time."""
  flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
  while True:
    descriptor = os.open(part, flags, 0o666)
    with open(descriptor, "r+b") as file:
      _check_regular(os.fstat(descriptor).st_mode, part)
      flock(descriptor, fcntl.LOCK_EX)
      # The previous holder of the lock has renamed the file to its final name.
      # Open a new NAME.part.
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
  """Calls `fcntl.flock`; returns False if the file system has no locks.

  Raises:
    BlockingIOError: another process holds the lock, and the operation does not
      wait.
    OSError: any other error.
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
  """Syncs the entries of a folder to the disk, where the system allows it."""
  with contextlib.suppress(OSError):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)


def disk_is_full(error: BaseException) -> bool:
  """Whether a write failed because the disk or the quota is full."""
  # Compares the text: some libraries raise their own error types, which quote
  # the system's message.
  full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
  return any(os.strerror(number) in str(error) for number in full)


def _escaped(match: re.Match[str]) -> str:
  return escape(match[0])
