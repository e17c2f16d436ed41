"""File locks that record their holder.

The operating system releases a lock when its process ends, also after a crash.
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
  """Holds a file lock; the system releases it when the process ends.

  The file contains the holder of the lock: host, process and time. After the
  release the file remains and is empty.

  Args:
    path: of the lock file. Its folder must exist.
    refusal: message of the ValueError that is raised immediately if another
      process holds the lock. "{holder}" in this text is replaced by the holder.
      None waits for the lock instead.
    waiting: called with the holder before a wait begins.
    unlockable: called with the reason if the file system has no locks. The
      block then runs without a lock.

  Raises:
    ValueError: another process or thread holds the lock, see `refusal`.
    OSError: the lock file cannot be created.
  """
  flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
  with open(os.open(path, flags, 0o666), "r+b", buffering=0) as file:

    def held() -> None:
      who = file.read(1000).decode("utf-8", "replace").strip()
      who = printable(who or "another process")
      if refusal is not None:
        raise ValueError(refusal.replace("{holder}", who)) from None
      if waiting:
        waiting(who)

    if not lock(file.fileno(), held=held) and unlockable:
      unlockable("the file system has no locks")
    note(file, holder())
    try:
      yield file
    finally:
      note(file, "")


def lock(descriptor: int, *, held: Callable[[], None]) -> bool:
  """Locks an open file or folder until it is closed.

  Args:
    descriptor: of the file or folder.
    held: called before a wait begins, because another process holds the lock.
      The wait does not begin if it raises an error.

  Returns:
    Whether the file system has locks.
  """
  try:
    return atomic.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    held()
  return atomic.flock(descriptor, fcntl.LOCK_EX)


def note(lock: IO[bytes], text: str) -> None:
  """Replaces the content of a lock file by `text`, which names the holder."""
  with contextlib.suppress(OSError):  # the note is optional: ignore a full disk
    os.ftruncate(lock.fileno(), 0)
    os.pwrite(lock.fileno(), text.encode(), 0)


def holder(who: str = "") -> str:
  """Describes a holder: "process 4711 on HOST since 2026-01-31 12:00:00+00:00".

  Args:
    who: replaces this process in the text, such as "processes 1 2".
  """
  now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
  who = who or f"process {os.getpid()}"
  return f"{who} on {socket.gethostname()} since {now}"
