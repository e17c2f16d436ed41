"""Locks of files, which say who holds them.

The system frees a lock when the process that holds it ends, however it ends.
"""

import contextlib
import datetime
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from typing import IO

from jaxvision import files


@contextlib.contextmanager
def locked(
  path: str | os.PathLike[str],
  *,
  refusal: str | None = None,
  waiting: Callable[[str], None] | None = None,
  unlockable: Callable[[str], None] | None = None,
) -> Iterator[IO[str]]:
  """Holds the lock that a file is; the system frees it when the process ends.

  The file says who holds it: host, process and time. It stays, empty, when the
  lock is free again.

  Args:
    path: of the lock; its folder exists.
    refusal: raise at once where another holds the lock: "{holder}" in this
      text becomes who. None waits.
    waiting: is told who holds it before a wait begins.
    unlockable: is told the reason where the file system has no locks; the
      block then runs without.

  Raises:
    ValueError: another process or thread holds it, see `refusal`.
    OSError: the file cannot be written.
  """
  flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
  with open(os.open(path, flags, 0o666), "r+", encoding="utf-8") as file:
    try:
      free = files.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      holder = file.read(1000).strip() or "another process"
      if refusal is not None:
        text = refusal.replace("{holder}", files.printable(holder))
        raise ValueError(text) from None
      if waiting:
        waiting(files.printable(holder))
      free = files.flock(file.fileno(), fcntl.LOCK_EX)
    if not free and unlockable:
      unlockable("the file system has no locks")
    note(file, whoami())
    try:
      yield file
    finally:
      note(file, "")


def note(lock: IO[str], text: str) -> None:
  """Writes who holds a lock into its file, in place of what it says."""
  lock.seek(0)
  lock.truncate(0)
  lock.write(text)
  lock.flush()


def whoami() -> str:
  """This process as "process 4711 on HOST since 2026-01-31 12:00:00+00:00"."""
  now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
  return f"process {os.getpid()} on {socket.gethostname()} since {now}"
