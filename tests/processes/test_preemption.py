"""Signals in a single process."""

import os
import signal
import threading

import pytest

from jaxvision.processes import preemption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noticed_and_the_handlers_are_restored(number, capfd):
  before = signal.getsignal(number)
  with preemption.requested([number]) as should_stop:
    assert not should_stop()
    os.kill(os.getpid(), number)
    assert should_stop()
  assert signal.getsignal(number) == before
  assert "saving and stopping" in capfd.readouterr().err


def test_a_second_interrupt_ends_at_once():
  with (
    pytest.raises(KeyboardInterrupt),
    preemption.requested([signal.SIGINT]),
  ):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_left_alone_outside_the_main_thread():
  before = signal.getsignal(signal.SIGTERM)
  found = []

  def work():
    with preemption.requested([signal.SIGTERM]) as should_stop:
      found.extend([should_stop(), signal.getsignal(signal.SIGTERM)])

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert found == [False, before]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_stops_an_interruptible_part(number):
  with (
    preemption.requested([signal.SIGTERM]) as terminated,
    preemption.interruptible(terminated) as should_stop,
  ):
    assert not should_stop()
    os.kill(os.getpid(), number)
    assert should_stop()
    assert terminated() == (number == signal.SIGTERM)


def test_a_signal_ends_a_part_that_saves_nothing_at_once():
  with preemption.requested([signal.SIGTERM]) as should_stop:
    outer = signal.getsignal(signal.SIGTERM)
    with (
      pytest.raises(preemption.Stopped, match="SIGTERM arrived"),
      preemption.ended_by([signal.SIGTERM]),
    ):
      os.kill(os.getpid(), signal.SIGTERM)
      threading.Event().wait(60)
    assert signal.getsignal(signal.SIGTERM) == outer
    assert should_stop()


def test_nested_blocks_share_a_request():
  """Between two runs of a worker, a request in a run is still one."""
  signals = [signal.SIGTERM]
  with preemption.requested(signals) as outer:
    with preemption.requested(signals) as inner:
      assert not inner()
      os.kill(os.getpid(), signal.SIGTERM)
      assert inner() and outer()
    with preemption.requested(signals) as later:
      assert outer() and later()
    with pytest.raises(preemption.Stopped), preemption.ended_by(signals):
      pytest.fail("the request came before")
  with preemption.requested(signals) as should_stop:
    assert not should_stop()


def test_items_come_until_the_stop():
  answers = [False, False, True]
  items = preemption.until_stopped(
    "abc", lambda: answers.pop(0), signals=[signal.SIGTERM]
  )
  assert [next(items), next(items)] == ["a", "b"]
  with pytest.raises(preemption.Stopped):
    next(items)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_wait_for_an_item(number):
  def items():
    yield 1
    os.kill(os.getpid(), number)
    threading.Event().wait(60)
    yield 2

  signals = [signal.SIGTERM, signal.SIGINT]
  with preemption.requested(signals) as should_stop:
    coming = preemption.until_stopped(items(), should_stop, signals=signals)
    assert next(coming) == 1
    with pytest.raises(preemption.Stopped):
      next(coming)
    # The request is also stored for the next check.
    assert should_stop()
    if number == signal.SIGINT:
      with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_other_signals_are_not_handled():
  before = signal.getsignal(signal.SIGUSR1)
  found = []

  def items():
    found.append(signal.getsignal(signal.SIGUSR1))
    yield

  list(
    preemption.until_stopped(items(), lambda: False, signals=[signal.SIGUSR1])
  )
  assert found == [before]
