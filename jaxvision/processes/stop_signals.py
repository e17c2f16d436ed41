"""Signals that ask one process to stop; nested blocks share a request.

This module does not import jax: a worker of a sweep uses it before its runs.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence

# The events of the blocks of `requested` that are open.
_arrivals: dict[int, threading.Event] = {}


@contextlib.contextmanager
def requested(
  signals: Sequence[signal.Signals],
) -> Iterator[Callable[[], bool]]:
  """Gives a function that returns whether one of the signals has arrived.

  A second SIGINT ends the process immediately. Outside the main thread no
  signal is handled; a block of the main thread around it is shared.
  """
  with contextlib.ExitStack() as stack:
    events = [stack.enter_context(_arrival(each)) for each in signals]
    yield lambda: any(event.is_set() for event in events)


def note(number: int) -> None:
  """Marks a signal as arrived in the open blocks of `requested`."""
  if number in _arrivals:
    _arrivals[number].set()


def noted(number: int) -> bool:
  """Whether a signal has arrived in an open block of `requested`."""
  return number in _arrivals and _arrivals[number].is_set()


@contextlib.contextmanager
def _arrival(number: signal.Signals) -> Iterator[threading.Event]:
  """An event that a signal sets; nested blocks share it."""
  if number in _arrivals:
    yield _arrivals[number]
    return
  event = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield event
    return
  _arrivals[number] = event
  try:
    with handled([number], lambda _: event.set()):
      yield event
  finally:
    del _arrivals[number]


@contextlib.contextmanager
def handled(
  signals: Sequence[signal.Signals], action: Callable[[int], None]
) -> Iterator[None]:
  """Calls the action when a signal arrives; only in the main thread."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def handle(number, _):
    action(number)
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, signal.default_int_handler)
    # Not print: the signal may have interrupted a print.
    os.write(2, b"\nsaving and stopping; Ctrl-C ends at once\n")

  before = {each: signal.signal(each, handle) for each in signals}
  try:
    yield
  finally:
    for each, handler in before.items():
      # None is a handler that was not installed by Python.
      signal.signal(each, signal.SIG_DFL if handler is None else handler)
