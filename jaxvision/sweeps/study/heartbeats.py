"""Heartbeats: a trial without them is taken from its worker."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any


@contextlib.contextmanager
def sent(
  storage: Any, keys: Sequence[int], *, seconds: float
) -> Iterator[None]:
  """Sends heartbeats while the context is open.

  Args:
    storage: of Optuna.
    keys: ids of the trials in the storage.
    seconds: between two heartbeats.
  """
  stop = threading.Event()

  def beat() -> None:
    while not stop.wait(seconds):
      # A storage may be unreachable for a moment; the next beat tries again.
      with contextlib.suppress(Exception):
        for key in keys:
          storage.record_heartbeat(key)

  thread = threading.Thread(target=beat, daemon=True)
  thread.start()
  try:
    yield
  finally:
    stop.set()
    thread.join()
