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

from jaxvision.files import atomic
from jaxvision.files.escaping import printable


@contextlib.contextmanager
def locked(
  path: str | os.PathLike[str],
  *,
  refusal: str | None = None,
  waiting: Callable[[str], None] | None = None,
  unlockable: Callable[[str], None] | None = None,
) -> Iterator[IO[bytes]]:
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
    OSError: the file cannot be made.
  """
  flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
  with open(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
    try:
      free = atomic.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      who = file.read(1000).decode("utf-8", "replace").strip()
      who = printable(who or "another process")
      if refusal is not None:
        raise ValueError(refusal.replace("{holder}", who)) from None
      if waiting:
        waiting(who)
      free = atomic.flock(file.fileno(), fcntl.LOCK_EX)
    if not free and unlockable:
      unlockable("the file system has no locks")
    note(file, holder())
    try:
      yield file
    finally:
      note(file, "")


def note(lock: IO[bytes], text: str) -> None:
  """Writes who holds a lock into its file, in place of what it says."""
  with contextlib.suppress(OSError):  # a full disk is no reason to fail
    os.ftruncate(lock.fileno(), 0)
    os.pwrite(lock.fileno(), text.encode(), 0)


def holder(who: str = "") -> str:
  """Who holds a lock: "process 4711 on HOST since 2026-01-31 12:00:00+00:00".

  Args:
    who: in place of this process, as "processes 1 2".
  """
  now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
  who = who or f"process {os.getpid()}"
  return f"{who} on {socket.gethostname()} since {now}"
