"""What reaches the screen, and what does not."""

import logging
import sys
import types

from jaxvision import screen


def test_our_messages_are_printed_once_and_plainly(capsys):
  screen.log_to_screen()
  logging.getLogger("jaxvision.training").info("three %s", "steps")
  assert capsys.readouterr().out == "three steps\n"


def test_libraries_are_quiet(capsys):
  screen.log_to_screen()
  logging.getLogger("absl").warning("saved")
  printed = capsys.readouterr()
  assert printed.out == printed.err == ""


def test_only_writes_given_up_are_not_reported(monkeypatch):
  reported = []
  monkeypatch.setattr(sys, "__unraisablehook__", reported.append)
  screen.log_to_screen()
  given_up, other = (
    types.SimpleNamespace(exc_value=RuntimeError(message))
    for message in ("Event loop is closed", "another")
  )
  sys.unraisablehook(given_up)
  sys.unraisablehook(other)
  assert reported == [other]


def test_orbax_is_quiet_and_others_may_speak(caplog):
  """The place in the code that a message is from decides."""
  screen.quiet_orbax()
  screen.quiet_orbax()
  absl = logging.getLogger("absl")
  for path in ("/env/orbax/checkpoint/manager.py", "/home/me/mine.py"):
    record = logging.LogRecord(
      "absl", logging.WARNING, path, 1, "from %s", (path,), None
    )
    absl.handle(record)
  assert caplog.messages == ["from /home/me/mine.py"]


def test_messages_go_to_stderr_where_stdout_is_read(capsys):
  screen.log_to_screen(errors=True)
  logging.getLogger("jaxvision.training").warning("look")
  said = capsys.readouterr()
  assert (said.out, said.err) == ("", "look\n")
