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

_ENDS_WITHIN = 5.0  # seconds that threads get to end after the deadline result


def make_ahead(
  make: Callable[[S], T], steps: Iterable[S], *, threads: int
) -> Iterator[T]:
  """Yields make(step) in the order of the steps.

  The number of results in progress or waiting is at most the number of threads.
  Exceptions of `make` are raised here, in order. If the iteration ends early,
  it waits for calls in progress, but only for a limited time: a read from a
  disk that does not respond may never end. Such a thread is abandoned; it does
  not prevent the end of the process.

  Args:
    make: called from the threads.
    steps: the arguments.
    threads: at least 1; 0 makes each result on demand.
  """
  if not threads:
    yield from map(make, steps)
    return
  remaining, tasks = iter(steps), queue.SimpleQueue()
  # Not a ThreadPoolExecutor: it waits for its threads, also when Python ends.
  workers = [
    threading.Thread(target=_work, args=(make, tasks), daemon=True)
    for _ in range(threads)
  ]
  pending = collections.deque()

  def submit(number: int) -> None:
    for step in itertools.islice(remaining, number):
      pending.append(concurrent.futures.Future())
      tasks.put((pending[-1], step))

  for thread in workers:
    thread.start()
  try:
    submit(threads)
    while pending:
      made = pending.popleft().result()
      submit(1)
      yield made
      del made  # frees the result before waiting for the next one
  finally:
    for future in pending:
      future.cancel()
    for _ in workers:
      tasks.put(None)
    _end(workers)


def _work(make: Callable[[S], T], tasks: queue.SimpleQueue) -> None:
  while (task := tasks.get()) is not None:
    future, step = task
    if future.set_running_or_notify_cancel():
      try:
        future.set_result(make(step))
      except BaseException as error:  # raised where the result is used
        future.set_exception(error)
    del task, future  # frees the result before the next task


def _end(workers: list[threading.Thread]) -> None:
  deadline = time.monotonic() + _ENDS_WITHIN
  for thread in workers:
    thread.join(max(0.0, deadline - time.monotonic()))
  if stuck := sum(thread.is_alive() for thread in workers):
    logging.getLogger(__name__).warning(
      "%d of %d threads that read data have not ended within %g seconds and "
      "are abandoned. Check whether the disk of the data still responds.",
      stuck,
      len(workers),
      _ENDS_WITHIN,
    )
