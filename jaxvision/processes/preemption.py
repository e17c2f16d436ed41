"""Preemption: requests to stop a run, by a signal or by the platform.

A single process handles the signals itself. With several processes, each one
may be notified at a different time, or only one of them. jax then selects a
common sync point, at which the request becomes true in all processes. Therefore
all processes must check equally often. Everything that depends on the request
then happens at the same step in all processes.
"""

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import jax
from jax.experimental import multihost_utils

from jaxvision.processes import stop_signals

Stopping = Callable[[], bool]
T = TypeVar("T")


class Stopped(Exception):
  """Preempted during work that can be repeated from its start."""


@contextlib.contextmanager
def requested(signals: Sequence[signal.Signals]) -> Iterator[Stopping]:
  """Gives a function that returns whether a stop was requested.

  It stays true after the first request. In a run of one process, a request is
  one of `signals`; a second SIGINT ends the process immediately. With several
  processes, jax handles SIGTERM from the start. A request inside of a nested
  block is also a request for the outer one, and the reverse.
  """
  if jax.process_count() > 1:
    yield _agreed()
    return
  with stop_signals.requested(signals) as asked:
    yield asked


@contextlib.contextmanager
def interruptible(stopping: Stopping) -> Iterator[Stopping]:
  """Adds SIGINT to `stopping`; jax handles only SIGTERM."""
  if jax.process_count() == 1:
    with requested([signal.SIGINT]) as interrupted:
      yield lambda: stopping() or interrupted()
    return
  terminate = lambda _: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
  with stop_signals.handled([signal.SIGINT], terminate):
    yield stopping


@contextlib.contextmanager
def ended_by(signals: Sequence[signal.Signals]) -> Iterator[None]:
  """A signal ends this block immediately; nothing in it needs to be saved.

  With several processes it has no effect, because all stop at the same step.

  Raises:
    Stopped: one of `signals` arrived, also during a long read, or had arrived
      in an outer block of `requested`.
  """

  def stop(number: int) -> None:
    stop_signals.note(number)
    raise Stopped(f"{signal.Signals(number).name} arrived before the start")

  if jax.process_count() > 1:
    yield
    return
  with stop_signals.handled(signals, stop):
    for each in filter(stop_signals.noted, signals):
      stop(each)
    yield


def until_stopped(
  items: Iterable[T], stopping: Stopping, *, signals: Sequence[signal.Signals]
) -> Iterator[T]:
  """Yields the items; a stop request ends the wait for an item.

  Args:
    items: such as batches, from a disk that may no longer respond.
    stopping: checked before each item.
    signals: the signals behind `stopping`. They end the wait for an item,
      except with several processes, which stop at the same step.

  Raises:
    Stopped: a stop was requested.
  """
  coming, nothing = iter(items), object()
  alone = jax.process_count() == 1
  while True:
    with _passed_on(signals if alone else ()):
      if stopping():
        raise Stopped
      item = next(coming, nothing)
    if item is nothing:
      return
    yield item
    del item  # not held while the next one is waited for


def _agreed() -> Stopping:
  """A stop request that becomes true in all processes at the same check."""
  numbers, asked = itertools.count(1), False

  def stopping() -> bool:
    nonlocal asked
    asked = asked or multihost_utils.reached_preemption_sync_point(
      next(numbers)
    )
    return asked

  return stopping


@contextlib.contextmanager
def _passed_on(signals: Sequence[signal.Signals]) -> Iterator[None]:
  """Handles a signal as outside of this block, and then raises `Stopped`."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def stop(number, frame):
    before[number](number, frame)
    raise Stopped

  found = {each: signal.getsignal(each) for each in signals}
  # Handlers that are not functions end the process or ignore the signal.
  before = {
    each: handler for each, handler in found.items() if callable(handler)
  }
  for each in before:
    signal.signal(each, stop)
  try:
    yield
  finally:
    for each, handler in before.items():
      # The original handler may have installed another one.
      if signal.getsignal(each) is stop:
        signal.signal(each, handler)
