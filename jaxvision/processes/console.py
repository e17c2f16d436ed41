"""What the commands let through to the screen."""

import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from typing import TextIO

from jaxvision import files

_LOGGER = logging.getLogger("jaxvision")
_CACHE = re.compile("Error (reading|writing) persistent compilation cache")


def log_to_screen(level: int = logging.INFO, *, errors: bool = False) -> None:
  """Prints what jaxvision logs from a level on; keeps its libraries quiet.

  The same warning is printed once.

  Args:
    level: of the logging module.
    errors: print to stderr, where stdout is for a program that reads it.
  """
  handler, warned = logging.Handler(), set()

  def emit(record: logging.LogRecord) -> None:
    text = handler.format(record)
    if record.levelno >= logging.WARNING:
      if text in warned:  # A file that is opened twice warns twice.
        return
      warned.add(text)
    # Printed, so that the live line of a training makes room for it. The
    # streams are looked up each time, as they may be replaced.
    say(text, stream=sys.stderr if errors else sys.stdout)

  handler.emit = emit
  _LOGGER.handlers[:] = [handler]
  _LOGGER.setLevel(level)
  _LOGGER.propagate = False
  # Orbax tells every save, what it was not given, and where in the code an
  # error comes from which it raises as well.
  logging.getLogger("absl").setLevel(logging.CRITICAL)
  # It tells of failed writes of a checkpoint, which are raised as well.
  logging.getLogger("asyncio").setLevel(logging.CRITICAL)
  sys.unraisablehook = _print_unraisable
  threading.excepthook = _print_of_thread
  warnings.showwarning = _shows_damaged_cache_once(warnings.showwarning)


def _shows_damaged_cache_once(show: Callable[..., None]) -> Callable[..., None]:
  """Jax warns of each program that it cannot read or keep; one line says it."""
  told = []

  def show_warning(message: Warning, *place: object, **options: object) -> None:
    if not _CACHE.match(str(message)):
      show(message, *place, **options)
    elif not told:
      told.append(True)
      own = os.environ.get("JAX_COMPILATION_CACHE_DIR")
      _LOGGER.warning(
        "some of the compiled programs in %s cannot be read or written, and "
        "are compiled anew (%s); if this comes again, remove that folder",
        own or files.cache_folder() / "compiled",
        message,
      )

  return show_warning


def quiet_orbax() -> None:
  """Leaves out what orbax warns of, also where jaxvision is a library.

  It tells of every folder that is only read, and of what it was not given; what
  fails is raised. Messages of others to absl's logger stay.
  """
  logging.getLogger("absl").addFilter(_is_not_of_orbax)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
  return "/orbax/" not in record.pathname.replace("\\", "/")


def say(text: object = "", *, stream: TextIO | None = None) -> None:
  """Prints text of which no terminal obeys a character; lines stay lines.

  Args:
    text: may hold names of files, classes and arrays as they are.
    stream: the standard output if None.
  """
  stream = stream or sys.stdout
  text = files.printable(text, keep="\n\t")
  # Some terminals have not all characters.
  encoding = getattr(stream, "encoding", None) or "utf-8"
  text = text.encode(encoding, "backslashreplace").decode(encoding)
  print(text, file=stream, flush=True)


def _print_of_thread(arguments: "threading.ExceptHookArgs") -> None:
  # A library's thread that cannot write; so can nobody, which is said.
  if not files.disk_is_full(arguments.exc_value):
    threading.__excepthook__(arguments)


def _print_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
  # After a failed save, those of its writes that are still under way tell a
  # loop that is closed; the failure itself is raised where it belongs.
  if "Event loop is closed" not in str(unraisable.exc_value):
    sys.__unraisablehook__(unraisable)
