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
