"""Received signals, for programs that forward them instead of ending."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def received() -> Iterator[list[int]]:
  """Gives a list to which each received SIGTERM or SIGINT is appended."""
  numbers = []
  note = lambda number, _: numbers.append(number)  # noqa: E731
  before = {
    each: signal.signal(each, note) for each in (signal.SIGTERM, signal.SIGINT)
  }
  try:
    yield numbers
  finally:
    for each, handler in before.items():
      signal.signal(each, handler)
