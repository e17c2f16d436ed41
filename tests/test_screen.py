"""What reaches the screen, and what does not."""

import logging
import sys

import pytest

from jaxvision import screen


@pytest.fixture(autouse=True)
def restored():
  loggers = [logging.getLogger(name) for name in ("jaxvision", "absl")]
  before = [(each, each.level, each.propagate) for each in loggers]
  hook = sys.excepthook
  screen.log_to_screen()
  yield
  sys.excepthook = hook
  loggers[0].handlers.clear()
  for logger, level, propagate in before:
    logger.setLevel(level)
    logger.propagate = propagate


def test_our_messages_are_printed_once_and_plainly(capsys):
  screen.log_to_screen()
  logging.getLogger("jaxvision.training").info("three %s", "steps")
  assert capsys.readouterr().out == "three steps\n"


def test_libraries_are_quiet(capsys):
  logging.getLogger("absl").warning("saved")
  printed = capsys.readouterr()
  assert printed.out == printed.err == ""


def test_errors_are_printed_but_for_those_of_writes_given_up(capsys):
  sys.excepthook(RuntimeError, RuntimeError("Event loop is closed"), None)
  assert capsys.readouterr().err == ""
  sys.excepthook(RuntimeError, RuntimeError("of another kind"), None)
  assert "of another kind" in capsys.readouterr().err
