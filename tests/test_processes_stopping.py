"""Signals, in this one process."""

import os
import signal
import threading

import pytest

from jaxvision.processes import stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noticed_and_the_handlers_come_back(number, capfd):
  before = signal.getsignal(number)
  with stopping.requested([number]) as should_stop:
    assert not should_stop()
    os.kill(os.getpid(), number)
    assert should_stop()
  assert signal.getsignal(number) == before
  assert "saving and stopping" in capfd.readouterr().err


def test_a_second_interrupt_ends_at_once():
  with (
    pytest.raises(KeyboardInterrupt),
    stopping.requested([signal.SIGINT]),
  ):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_left_alone_outside_the_main_thread():
  before = signal.getsignal(signal.SIGTERM)
  found = []

  def work():
    with stopping.requested([signal.SIGTERM]) as should_stop:
      found.extend([should_stop(), signal.getsignal(signal.SIGTERM)])

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert found == [False, before]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_stops_what_can_be_interrupted(number):
  with (
    stopping.requested([signal.SIGTERM]) as terminated,
    stopping.interruptible(terminated) as should_stop,
  ):
    assert not should_stop()
    os.kill(os.getpid(), number)
    assert should_stop()
    assert terminated() == (number == signal.SIGTERM)


def test_a_signal_ends_at_once_what_saves_nothing():
  with stopping.requested([signal.SIGTERM]) as should_stop:
    outer = signal.getsignal(signal.SIGTERM)
    with (
      pytest.raises(stopping.Stopped, match="SIGTERM came"),
      stopping.ended_by([signal.SIGTERM]),
    ):
      os.kill(os.getpid(), signal.SIGTERM)
      threading.Event().wait(60)
    assert signal.getsignal(signal.SIGTERM) == outer
    assert not should_stop()


def test_a_check_raises_from_then_on():
  answers = [False, True, True]
  check = stopping.make_check(lambda: answers.pop(0))
  check()
  for _ in range(2):
    with pytest.raises(stopping.Stopped):
      check()
