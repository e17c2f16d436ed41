"""Sends the lines of metrics.jsonl to trackers, beside the training.

Each tracker of a run has a daemon thread, which reads the log and sends the new
lines. The training writes its log and wakes the threads. It waits for them only
at its end, and only for `_END_SECONDS`. So the log is the queue: a tracker that
is slow, hangs or fails delays nothing, needs no memory, and changes no number.

A line is recorded in the ledger before it is sent. So it is sent once at most,
also if the process is killed: the tracker may then lack the lines that were
being sent. This is one line, or up to `_CHUNK` lines if the tracker lags. If
the tracker raises an exception, the next process of the run sends the line.
"""

import contextlib
import dataclasses
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxvision import files
from jaxvision.runs import log_tail
from jaxvision.runs.trackers import contract, ledger

Path = pathlib.Path

# Seconds for which the end of a run waits for all of its trackers.
_END_SECONDS = 30.0
# The same after a preemption: the machine is about to be taken.
_PREEMPTED_SECONDS = 5.0
# Lines that are recorded at once; each record is synced to the disk.
_CHUNK = 20
_START = log_tail.Tail()
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Delivery:
  """A tracker of a run, and its thread.

  Attributes:
    folder: of the run.
    name: of the tracker.
    open: the tracker.
    lock: of the ledger.
    signal: is set if there is something to do.
    orders: "end": the `End` to send; "abandoned": whether to send no more.
    threads: the thread, as soon as it has started.
  """

  folder: Path
  name: str
  open: contract.Open
  lock: threading.Lock
  signal: threading.Event = dataclasses.field(default_factory=threading.Event)
  orders: dict[str, Any] = dataclasses.field(default_factory=dict)
  threads: list[threading.Thread] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Place:
  """A place in the log.

  Attributes:
    tail: the position in the file.
    step, lines: the last line before it is line number `lines` of this step.
  """

  tail: log_tail.Tail = _START
  step: int = 0
  lines: int = 0


class _Abandoned(Exception):
  """The training does not wait any longer."""


@contextlib.contextmanager
def tracked(
  runs: Mapping[Path, Mapping[str, contract.Open]],
) -> Iterator[Callable[[Path], None]]:
  """Tracks runs in this block; yields wake(folder), to call after each line.

  The first call opens the run in its trackers. A run that is finished, and
  whose trackers lack lines, needs no call. At the end of the block the folder
  has the result of the run, which is sent too. Failures are warnings.

  Args:
    runs: the trackers of each run by their names, by the folder of the run.
  """
  deliveries = {folder: _prepare(folder, runs[folder]) for folder in runs}

  def wake(folder: Path) -> None:
    for each in deliveries[folder]:
      _wake(each)

  error = None
  try:
    yield wake
  except BaseException as raised:
    error = raised
    raise
  finally:
    _finish([each for group in deliveries.values() for each in group], error)


def _prepare(
  folder: Path, trackers: Mapping[str, contract.Open]
) -> list[_Delivery]:
  lock = threading.Lock()
  return [
    _Delivery(folder, name, open_run, lock)
    for name, open_run in trackers.items()
  ]


def _wake(of: _Delivery) -> None:
  if not of.threads:
    thread = threading.Thread(
      target=_deliver, args=(of,), name=f"tracker {of.name}", daemon=True
    )
    of.threads.append(thread)
    thread.start()
  of.signal.set()


def _deliver(of: _Delivery) -> None:
  """Sends lines until the end is sent; the target of the thread."""
  try:
    entry = ledger.read(of.folder).get(of.name) or ledger.new_entry()
    entry = dataclasses.replace(entry, status="")
    ledger.write(of.folder, of.name, entry, lock=of.lock)
    run = contract.read_run(of.folder, id=entry.id, sent=entry.sent)
    session, place = of.open(run), _Place()
    while True:
      of.signal.wait()
      of.signal.clear()
      end = of.orders.get("end")
      place, entry = _send(of, session, place, entry)
      if end:
        session.finish(end)
        entry = dataclasses.replace(entry, status=end.status)
        _record(of, entry)
        return
  except _Abandoned:
    return
  except BaseException as error:  # a library may call sys.exit
    if not of.orders.get("abandoned"):
      _warn(of, f"failed: {type(error).__name__}: {error}")


def _send(
  of: _Delivery, session: contract.Session, place: _Place, entry: ledger.Entry
) -> tuple[_Place, ledger.Entry]:
  """Sends the new lines that were not sent before."""
  rows, tail, _ = log_tail.read(of.folder / "metrics.jsonl", place.tail)
  waiting, step, lines = [], place.step, place.lines
  for row in rows:
    lines = lines + 1 if row["step"] == step else 1
    step = row["step"]
    if (step, lines) > (entry.step, entry.lines):
      sent = entry.sent + len(waiting) + 1
      after = ledger.Entry(entry.id, step=step, lines=lines, sent=sent)
      waiting.append((row, after))
  for first in range(0, len(waiting), _CHUNK):
    entry = _send_chunk(of, session, waiting[first : first + _CHUNK], entry)
  return _Place(tail, step, lines), entry


def _send_chunk(
  of: _Delivery,
  session: contract.Session,
  chunk: Sequence[tuple[Mapping[str, float], ledger.Entry]],
  entry: ledger.Entry,
) -> ledger.Entry:
  """Records lines and sends them.

  Args:
    of: the tracker.
    session: of it.
    chunk: lines, and the entry after each of them.
    entry: before them.

  Returns:
    The entry after them.
  """
  _record(of, chunk[-1][1])
  for row, after in chunk:
    try:
      session.log(row["step"], {k: v for k, v in row.items() if k != "step"})
    except BaseException:
      _record(of, entry)
      raise
    entry = after
  return entry


def _record(of: _Delivery, entry: ledger.Entry) -> None:
  """Writes the entry, unless a later process may write it already."""
  if of.orders.get("abandoned"):
    raise _Abandoned
  ledger.write(of.folder, of.name, entry, lock=of.lock)


def _finish(deliveries: list[_Delivery], error: BaseException | None) -> None:
  """Sends the ends, and waits for the threads until the limit."""
  limit = _END_SECONDS
  for each in deliveries:
    end = contract.read_end(each.folder, error)
    if each.threads or _is_behind(each, end):
      each.orders["end"] = end
      _wake(each)
      if end.state == "preempted":
        limit = _PREEMPTED_SECONDS
  deadline = time.monotonic() + limit
  for each in deliveries:
    for thread in each.threads:
      thread.join(max(deadline - time.monotonic(), 0.0))
      if thread.is_alive():
        each.orders["abandoned"] = True
        _warn(each, f"did not end within {limit:.0f} s")


def _is_behind(of: _Delivery, end: contract.End) -> bool:
  """Whether a run has finished, and its tracker has not received its end."""
  if end.state != "finished":
    return False
  try:
    entry = ledger.read(of.folder).get(of.name)
  except (ValueError, OSError):
    return True  # the thread warns
  return entry is None or entry.status != end.status


def _warn(of: _Delivery, what: str) -> None:
  _LOGGER.warning(
    "the tracker %s of %s %s. It receives nothing more from this process; the "
    "training and its files are not affected. When the tracker works again, "
    "`jaxvision train --workdir %s` sends what it lacks",
    of.name,
    files.printable(of.folder),
    files.printable(what),
    files.printable(of.folder),
  )
