"""The folder of unfinished work, which one process writes at a time."""

import contextlib
import logging
import os
import pathlib
import shutil
from collections.abc import Iterator

from jaxvision.files import locks

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
  """Creates and locks a folder; waits for the process that writes it.

  Args:
    folder: of the work. The process may rename or remove it.
  """

  def waiting() -> None:
    _LOGGER.info("waiting for another process that writes %s", folder)

  folder.mkdir(parents=True, exist_ok=True)
  opened = os.open(folder, os.O_RDONLY)
  try:
    locks.lock(opened, held=waiting)
    folder.mkdir(exist_ok=True)  # that process may have removed it
    yield
  finally:
    os.close(opened)


@contextlib.contextmanager
def fresh(folder: pathlib.Path) -> Iterator[None]:
  """Like `locked`, with an empty folder, which an error removes.

  The folder may have files of a process that was killed.
  """
  with locked(folder):
    try:
      for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
      yield
    except BaseException:
      shutil.rmtree(folder, ignore_errors=True)
      raise
