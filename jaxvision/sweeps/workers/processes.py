"""Worker processes of a sweep on this machine: start, replace, stop."""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

# Exit codes of workers that a signal killed: these workers are replaced. Other
# errors would occur again in a new worker.
_KILLED = (134, 137, 139)
_POLL_SECONDS = 1.0
# The pause after a look at the storage, as a multiple of the time of the look:
# the workers need the processor.
_PAUSE = 20
_TAIL = 2000  # characters of a failed worker's log in the message


class Failed(Exception):
  """A worker failed; the message has the end of its log."""


class Interrupted(Exception):
  """A signal stopped the sweep; the same command resumes it."""


def run_workers(
  command: Sequence[str],
  *,
  size: int,
  logs: pathlib.Path,
  environment: Mapping[str, str],
  is_over: Callable[[], bool],
) -> None:
  """Runs `size` workers until no trial is left; replaces killed workers.

  Args:
    command: command of a worker; it exits with 0 when no trial is left.
    size: number of workers.
    logs: folder for the logs of the workers.
    environment: environment variables to add for the workers.
    is_over: called every second, less often if it takes long; returns whether
      no trial is left.

  Raises:
    Failed: a worker exited with an error, without a signal.
    Interrupted: SIGINT or SIGTERM arrived; all workers have saved and stopped.
  """
  logs.mkdir(parents=True, exist_ok=True)
  with _stop_signals() as stop, contextlib.ExitStack() as files:
    workers: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
      name = logs / f"{os.uname().nodename}-{os.getpid()}-{len(workers)}.log"
      return subprocess.Popen(
        command,
        stdout=files.enter_context(name.open("ab")),
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        # Ctrl-C reaches this process only; it terminates the workers.
        start_new_session=True,
      )

    try:
      workers += [start() for _ in range(size)]
      while not stop.is_set():
        began = time.monotonic()
        over = is_over()
        took = time.monotonic() - began
        if over and all(worker.poll() is not None for worker in workers):
          return
        for place, worker in enumerate(workers):
          code = worker.poll()
          if code is None or over:
            continue
          if code > 0 and code not in _KILLED:
            raise Failed(_failure(code, logs))
          workers[place] = start()
        stop.wait(max(_POLL_SECONDS, _PAUSE * took))
      raise Interrupted("stopped; run the same command to resume the sweep")
    finally:
      _terminate(workers)


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
  stop = threading.Event()
  numbers = (signal.SIGINT, signal.SIGTERM)
  before = {n: signal.signal(n, lambda *_: stop.set()) for n in numbers}
  try:
    yield stop
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _terminate(workers: Sequence[subprocess.Popen]) -> None:
  """Terminates the workers, and waits until they have saved."""
  for worker in workers:
    if worker.poll() is None:
      worker.terminate()
  for worker in workers:
    worker.wait()


def _failure(code: int, logs: pathlib.Path) -> str:
  newest = max(logs.glob("*.log"), key=lambda path: path.stat().st_mtime)
  tail = newest.read_text("utf-8", errors="replace")[-_TAIL:].strip()
  return f"a worker exited with code {code}; {newest} ends with:\n{tail}"
