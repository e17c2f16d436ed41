"""What reaches the screen, and what does not."""

import logging
import sys

import pytest

from jaxvision import screen


@pytest.fixture(autouse=True)
def restored():
  loggers = [logging.getLogger(name) for name in ("jaxvision", "absl")]
  before = [(each, each.level, each.propagate) for each in loggers]
  hook = sys.unraisablehook
  screen.log_to_screen()
  yield
  sys.unraisablehook = hook
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


class Unraisable:
  """Raises where nobody can catch it."""

  def __init__(self, message):
    self.message = message

  def __del__(self):
    raise RuntimeError(self.message)


def test_writes_given_up_are_not_reported_but_all_else_is(capsys):
  Unraisable("Event loop is closed")
  assert capsys.readouterr().err == ""
  Unraisable("of another kind")
  assert "of another kind" in capsys.readouterr().err
