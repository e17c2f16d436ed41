"""The state of a run, from the files of its folder and their times.

Only the folder is used: no process is asked, so the run may be on another
machine. A run is

  finished  if result.json says so;
  stopped   if it was preempted or ended early, and result.json says so;
  failed    if it diverged, or if its lock is free and it has no result;
  stalled   if it should be running, but has written nothing for too long;
  running   otherwise.

"Too long" is 10 times the median time between two lines of its log, but at
least twice the longest time between two lines, and at least a minute. A run
that has started or resumed, and has no new line yet, may compile: 30 minutes.
"""

import dataclasses
from collections.abc import Mapping

from jaxvision.runs import log_summary
from jaxvision.runs.log_summary import Summary

STATES = ("running", "stalled", "failed", "stopped", "finished")
_TIMES_USUAL, _TIMES_LONGEST = 10, 2
_LEAST_SECONDS, _START_SECONDS = 60.0, 1800.0
# How the status in result.json begins, and the state that it means.
_ENDED = {
  "finished": "finished",
  "preempted": "stopped",
  "ended early": "stopped",
  "stopped": "failed",
}


@dataclasses.dataclass(frozen=True)
class Stamp:
  """A version of a file.

  Attributes:
    time: of the last change, in seconds of `time.time`.
    size: in bytes.
    inode: of the file.
  """

  time: float
  size: int
  inode: int


def of(
  status: str,
  *,
  stamps: Mapping[str, Stamp],
  summary: Summary,
  now: float,
) -> tuple[str, str]:
  """The state of a run, and the reason for it; "" if it needs none.

  Args:
    status: the status in result.json; "" without one.
    stamps: {file name: version} of the files of the folder.
    summary: of the log.
    now: in seconds of `time.time`.
  """
  ended = next((s for text, s in _ENDED.items() if status.startswith(text)), "")
  if ended and not _has_restarted(stamps):
    return ended, "" if status == ended else status
  lock = stamps.get("lock")
  if lock and not lock.size:
    return "failed", "its process ended without a result: see its output"
  silent, most = _silence(stamps, summary, now)
  if silent > most:
    return "stalled", f"nothing written for {silent:.0f} s; limit {most:.0f} s"
  return "running", ""


def age(stamps: Mapping[str, Stamp], now: float) -> float | None:
  """Seconds since the last line of the log; None without a line."""
  log = stamps.get("metrics.jsonl")
  return max(now - log.time, 0.0) if log and log.size else None


def _has_restarted(stamps: Mapping[str, Stamp]) -> bool:
  """Whether a process has taken the lock after the result was written."""
  lock, result = stamps.get("lock"), stamps.get("result.json")
  return bool(lock and result and lock.size and lock.time > result.time)


def _silence(
  stamps: Mapping[str, Stamp], summary: Summary, now: float
) -> tuple[float, float]:
  """Seconds since the last sign of life, and the limit for them."""
  log = stamps.get("metrics.jsonl")
  lock = stamps.get("lock")
  usual = log_summary.usual_gap(summary)
  if log is None or usual is None or (lock and lock.time > log.time):
    newest = max((each.time for each in stamps.values()), default=now)
    return now - newest, _START_SECONDS
  limits = (
    _LEAST_SECONDS,
    _TIMES_USUAL * usual,
    _TIMES_LONGEST * summary.longest_gap,
  )
  return now - log.time, max(limits)
