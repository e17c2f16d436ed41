"""The workers of a sweep on this machine: started, replaced, stopped."""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

# Exit codes of workers that were killed, or went down with the system: others
# take their place. Any other error would only come again.
_KILLED = (134, 137, 139)
_LOOKS_EVERY = 1.0  # seconds
_TAIL = 2000  # characters of a worker's last words


class Failed(Exception):
  """A worker could not work; the message has its last words."""


class Interrupted(Exception):
  """The sweep was asked to stop; the same command goes on with it."""


def run_crew(
  command: Sequence[str],
  *,
  size: int,
  logs: pathlib.Path,
  environment: Mapping[str, str],
  is_over: Callable[[], bool],
) -> None:
  """Keeps so many workers at work until all is done.

  Args:
    command: what a worker runs; it ends with 0 when nothing is left.
    size: how many.
    logs: folder of what they print.
    environment: variables for them, beyond those of this process.
    is_over: called every second; whether no trial is left.

  Raises:
    Failed: a worker failed by itself, not by a signal.
    Interrupted: SIGINT or SIGTERM came; all workers have saved and stopped.
  """
  logs.mkdir(parents=True, exist_ok=True)
  with _asked_to_stop() as asked, contextlib.ExitStack() as files:
    crew: list[subprocess.Popen] = []

    def hire() -> subprocess.Popen:
      name = logs / f"{os.uname().nodename}-{os.getpid()}-{len(crew)}.log"
      return subprocess.Popen(
        command,
        stdout=files.enter_context(name.open("ab")),
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        # Ctrl-C is for this process, which tells them.
        start_new_session=True,
      )

    try:
      crew += [hire() for _ in range(size)]
      while not asked.is_set():
        over = is_over()
        if over and all(worker.poll() is not None for worker in crew):
          return
        for place, worker in enumerate(crew):
          code = worker.poll()
          if code is None or over:
            continue
          if code > 0 and code not in _KILLED:
            raise Failed(_last_words(code, logs))
          crew[place] = hire()
        asked.wait(_LOOKS_EVERY)
      raise Interrupted("stopped; the same command goes on with the sweep")
    finally:
      _dismiss(crew)


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
  asked = threading.Event()
  numbers = (signal.SIGINT, signal.SIGTERM)
  before = {n: signal.signal(n, lambda *_: asked.set()) for n in numbers}
  try:
    yield asked
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _dismiss(crew: Sequence[subprocess.Popen]) -> None:
  """Lets the workers save what they have."""
  for worker in crew:
    if worker.poll() is None:
      worker.terminate()
  for worker in crew:
    worker.wait()


def _last_words(code: int, logs: pathlib.Path) -> str:
  newest = max(logs.glob("*.log"), key=lambda path: path.stat().st_mtime)
  words = newest.read_text("utf-8", errors="replace")[-_TAIL:].strip()
  return f"a worker ended with the code {code}; {newest} ends with:\n{words}"
