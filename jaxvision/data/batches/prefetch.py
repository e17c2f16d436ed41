"""Threads that make batches ahead of time."""

import collections
import concurrent.futures
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

_ENDS_WITHIN = 5.0  # seconds, after the last result has been taken


def make_ahead(
  make: Callable[[S], T], steps: Iterable[S], *, threads: int
) -> Iterator[T]:
  """Yields make(step) in the order of the steps.

  As many are made or wait to be taken as there are threads. What `make` raises
  is raised here in its turn. Leaving early waits for those that have begun, but
  not for ever: a read from a disk that does not answer never ends. Its thread
  is left behind and does not keep the process from ending.

  Args:
    make: called from the threads.
    steps: its arguments.
    threads: at least 1; 0 makes each when it is asked for.
  """
  if not threads:
    yield from map(make, steps)
    return
  coming, tasks = iter(steps), queue.SimpleQueue()
  # Not a ThreadPoolExecutor: it waits for its threads, also when Python ends.
  crew = [
    threading.Thread(target=_work, args=(make, tasks), daemon=True)
    for _ in range(threads)
  ]
  pending = collections.deque()

  def submit(number: int) -> None:
    for step in itertools.islice(coming, number):
      pending.append(concurrent.futures.Future())
      tasks.put((pending[-1], step))

  for thread in crew:
    thread.start()
  try:
    submit(threads)
    while pending:
      made = pending.popleft().result()
      submit(1)
      yield made
      del made  # not held while the next one is waited for
  finally:
    for future in pending:
      future.cancel()
    for _ in crew:
      tasks.put(None)
    _end(crew)


def _work(make: Callable[[S], T], tasks: queue.SimpleQueue) -> None:
  while (task := tasks.get()) is not None:
    future, step = task
    if future.set_running_or_notify_cancel():
      try:
        future.set_result(make(step))
      except BaseException as error:  # raised where the result is taken
        future.set_exception(error)
    del task, future  # the result is not held until the next one


def _end(crew: list[threading.Thread]) -> None:
  last = time.monotonic() + _ENDS_WITHIN
  for thread in crew:
    thread.join(max(0.0, last - time.monotonic()))
  if stuck := sum(thread.is_alive() for thread in crew):
    logging.getLogger(__name__).warning(
      "%d of %d threads that read data have not ended within %g seconds; they "
      "are left behind. Look whether the disk of the data still answers.",
      stuck,
      len(crew),
      _ENDS_WITHIN,
    )
