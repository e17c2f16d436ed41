"""The output of the commands on the terminal."""

import logging
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
  """Prints the log of jaxvision from a level on; silences its libraries.

  The same warning is printed once.

  Args:
    level: a level of the logging module.
    errors: print to stderr, for commands whose stdout another program reads.
  """
  handler, warned = logging.Handler(), set()

  def emit(record: logging.LogRecord) -> None:
    text = handler.format(record)
    if record.levelno >= logging.WARNING:
      if text in warned:  # A file that is opened twice warns twice.
        return
      warned.add(text)
    # Printed, so that the progress line moves below it. The streams are looked
    # up each time, because they may be replaced.
    say(text, stream=sys.stderr if errors else sys.stdout)

  handler.emit = emit
  _LOGGER.handlers[:] = [handler]
  _LOGGER.setLevel(level)
  _LOGGER.propagate = False
  # Orbax logs every save, every option that was not given, and the origin of
  # errors that it also raises.
  logging.getLogger("absl").setLevel(logging.CRITICAL)
  # asyncio logs failed writes of a checkpoint, which are also raised.
  logging.getLogger("asyncio").setLevel(logging.CRITICAL)
  sys.unraisablehook = _print_unraisable
  threading.excepthook = _print_of_thread
  warnings.showwarning = _shows_damaged_cache_once(warnings.showwarning)


def _shows_damaged_cache_once(show: Callable[..., None]) -> Callable[..., None]:
  """Shows one warning for all programs that jax cannot read from its cache."""
  shown = []

  def show_warning(message: Warning, *place: object, **options: object) -> None:
    if not _CACHE.match(str(message)):
      show(message, *place, **options)
    elif not shown:
      shown.append(True)
      import jax

      _LOGGER.warning(
        "some compiled programs in %s cannot be read or written, and are "
        "recompiled (%s); if this warning appears again, remove that folder",
        jax.config.jax_compilation_cache_dir,
        message,
      )

  return show_warning


def quiet_orbax() -> None:
  """Suppresses orbax's warnings, also where jaxvision is used as a library.

  Orbax warns of every folder that is opened read-only, and of options that were
  not given. Failures are raised. Other messages to absl's logger are kept.
  """
  logging.getLogger("absl").addFilter(_is_not_of_orbax)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
  return "/orbax/" not in record.pathname.replace("\\", "/")


def say(text: object = "", *, stream: TextIO | None = None) -> None:
  """Prints text without terminal control sequences; line breaks are kept.

  Args:
    text: may contain names of files, classes and arrays.
    stream: None is the standard output.
  """
  stream = stream or sys.stdout
  text = files.printable(text, keep="\n\t")
  # Some terminals cannot encode all characters.
  encoding = getattr(stream, "encoding", None) or "utf-8"
  text = text.encode(encoding, "backslashreplace").decode(encoding)
  print(text, file=stream, flush=True)


def _print_of_thread(arguments: "threading.ExceptHookArgs") -> None:
  # A full disk in a library's thread: the main thread reports the same error.
  if not files.disk_is_full(arguments.exc_value):
    threading.__excepthook__(arguments)


def _print_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
  # After a failed save, the remaining writes call an event loop that is closed.
  # The failure itself is raised in the main thread.
  if "Event loop is closed" not in str(unraisable.exc_value):
    sys.__unraisablehook__(unraisable)
