"""What reaches the screen, and what does not."""

import logging
import sys

import pytest

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


@pytest.mark.parametrize("message", ["Event loop is closed", "another"])
def test_only_writes_given_up_are_not_reported(message, capsys):
  screen.log_to_screen()
  error = RuntimeError(message)
  sys.unraisablehook(
    sys.UnraisableHookArgs((RuntimeError, error, None, None, None))
  )
  assert ("another" in capsys.readouterr().err) == (message == "another")
