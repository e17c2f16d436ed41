"""Whether a run was asked to stop: by a signal, or by the platform.

A single process listens for signals. Of several, each may be told at another
moment, or only one; jax then finds the next question that all will ask, and
answers it with yes everywhere. All processes must ask equally often, therefore,
and whatever depends on the answer happens in all of them at the same step.
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

Stopping = Callable[[], bool]
T = TypeVar("T")


class Stopped(Exception):
  """Left in the middle of something that can be done again from its start."""


@contextlib.contextmanager
def requested(signals: Sequence[signal.Signals]) -> Iterator[Stopping]:
  """Tells whether the run should stop; once it should, it always should.

  Alone, that is when one of `signals` came; a second SIGINT ends at once. With
  several processes SIGTERM is in jax's hands from the start.
  """
  if jax.process_count() > 1:
    yield _agreed()
    return
  asked = threading.Event()
  with _handled(signals, lambda _: asked.set()):
    yield asked.is_set


@contextlib.contextmanager
def interruptible(stopping: Stopping) -> Iterator[Stopping]:
  """The same with SIGINT, of which with several processes jax knows nothing."""
  if jax.process_count() == 1:
    with requested([signal.SIGINT]) as interrupted:
      yield lambda: stopping() or interrupted()
    return
  terminate = lambda _: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
  with _handled([signal.SIGINT], terminate):
    yield stopping


@contextlib.contextmanager
def ended_by(signals: Sequence[signal.Signals]) -> Iterator[None]:
  """A signal ends this part at once: nothing of it needs to be saved.

  Not of several processes, which stop at the same step.

  Raises:
    Stopped: one of `signals` came, also in the middle of a long read.
  """

  def stop(number: int) -> None:
    raise Stopped(f"{signal.Signals(number).name} came before it began")

  if jax.process_count() > 1:
    yield
    return
  with _handled(signals, stop):
    yield


def until_stopped(
  items: Iterable[T], stopping: Stopping, *, signals: Sequence[signal.Signals]
) -> Iterator[T]:
  """The same items, of which the next one may never come.

  Args:
    items: such as batches, from a disk that may cease to answer.
    stopping: asked before each item.
    signals: that `stopping` tells of; they end the wait for an item, except
      with several processes, which stop at the same step.

  Raises:
    Stopped: the run should stop.
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
  """What all processes answer alike, by the number of the question."""
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
  """A signal is noted as it is outside of this, and then raises `Stopped`."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def stop(number, frame):
    before[number](number, frame)
    raise Stopped

  found = {each: signal.getsignal(each) for each in signals}
  # Others than functions are not ours: they end the process, or do nothing.
  before = {
    each: handler for each, handler in found.items() if callable(handler)
  }
  for each in before:
    signal.signal(each, stop)
  try:
    yield
  finally:
    for each, handler in before.items():
      # What was noted may have set another one.
      if signal.getsignal(each) is stop:
        signal.signal(each, handler)


@contextlib.contextmanager
def _handled(
  signals: Sequence[signal.Signals], action: Callable[[int], None]
) -> Iterator[None]:
  """Takes the action when a signal comes; nothing outside the main thread."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def handle(number, _):
    action(number)
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, signal.default_int_handler)
    # Not print: the signal may have come in the middle of one.
    os.write(2, b"\nsaving and stopping; Ctrl-C ends at once\n")

  before = {each: signal.signal(each, handle) for each in signals}
  try:
    yield
  finally:
    for each, handler in before.items():
      # None stands for one that Python does not know.
      signal.signal(each, signal.SIG_DFL if handler is None else handler)
