"""Threads that make batches ahead of time."""

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def make_ahead(
  make: Callable[[int], T], steps: range, *, threads: int
) -> Iterator[T]:
  """Yields make(step) in the order of the steps.

  As many are made or wait to be taken as there are threads. What `make` raises
  is raised here in its turn. Leaving early waits for those that have begun.

  Args:
    make: called from the threads.
    steps: its arguments.
    threads: at least 1; 0 makes each when it is asked for.
  """
  if not threads:
    yield from map(make, steps)
    return
  coming = iter(steps)
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    pending = collections.deque(
      pool.submit(make, step) for step in itertools.islice(coming, threads)
    )
    try:
      while pending:
        made = pending.popleft().result()
        pending.extend(
          pool.submit(make, step) for step in itertools.islice(coming, 1)
        )
        yield made
        del made  # not held while the next one is waited for
    finally:
      pool.shutdown(wait=False, cancel_futures=True)
