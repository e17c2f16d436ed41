"""Signals that have come, for those who pass them on instead of ending."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def received() -> Iterator[list[int]]:
  """A list that grows by the number of each SIGTERM or SIGINT that comes."""
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
