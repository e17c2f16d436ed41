"""The speed of a run, and the use of its time.

A clock is a dict of the loop with the seconds and steps since the last line of
the log. The record of a run contains `record["spent"]`, the seconds by their
use, see `KINDS`. The record is saved with each checkpoint, so work that was
lost in a crash is not counted.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# The uses of the seconds of a run. Only "steps" counts as useful.
KINDS = ("starting", "steps", "evaluating", "saving")

Clock = dict[str, Any]
Record = dict[str, Any]


# Clock synchronisation moves the system clock by less than this.
_CLOCK_SECONDS = 1.0


def start_clock(step: int) -> Clock:
  """The clock of a loop that begins after a step.

  Times, in seconds of `time.monotonic`:

    since: of the last line, later by the pauses for evaluations and
      checkpoints.
    spent: the end of the time that the records contain.
    asked: when the loop began to wait for the batch.
    saved: of the last save.

  step is the step of the last line. Seconds since the last line:

    waited: for the feed.
    saving: for checkpoints.
    seconds: the list of the seconds of each step.
  """
  now = time.monotonic()
  return {
    "since": now,
    "step": step,
    "spent": now,
    "asked": now,
    "saved": now,
    "waited": 0.0,
    "saving": 0.0,
    "seconds": [],
  }


def timed(
  feed: Iterator[tuple[int, Any]], clock: Clock
) -> Iterator[tuple[int, Any]]:
  """The same batches; the clock records the time of each.

  It records the wait for each batch and the seconds of its steps.
  """
  before = clock["step"]
  for step, batch in feed:
    clock["waited"] += time.monotonic() - clock["asked"]
    yield step, batch
    now = time.monotonic()
    clock["seconds"].append((now - clock["asked"]) / (step - before))
    clock["asked"], before = now, step


def spend(kind: str, clock: Clock, records: Sequence[Record]) -> float:
  """Adds the time since the last call to the records, in equal shares.

  Args:
    kind: one of `KINDS`.
    clock: of the loop.
    records: of the runs that were trained in this time, at least one.

  Returns:
    The seconds, before the division.
  """
  now = time.monotonic()
  seconds, clock["spent"] = now - clock["spent"], now
  for record in records:
    record["spent"][kind] += seconds / len(records)
    record["seconds"] += seconds / len(records)
  return seconds


def skip(seconds: float, clock: Clock) -> None:
  """Excludes a pause without steps from all speeds."""
  clock["since"] += seconds
  clock["asked"] += seconds


def values(
  step: int, clock: Clock, *, batch_size: int, peak: float | None
) -> dict[str, float]:
  """The speeds since the last line; resets the clock for the next line.

  Args:
    step: of the line.
    clock: of the loop.
    batch_size: examples in a step.
    peak: peak images per second of the devices; None if unknown.

  Returns:
    images_per_second: over the time without pauses.
    step_seconds_p50, step_seconds_p95: percentiles over the steps. All steps of
      a call have their mean.
    data_wait: the share of the time that the loop waited for its batches, in
      [0, 1].
    saving_seconds: per step, the time that the loop waited for checkpoints.
    mfu: the share of the peak, if the peak is known.
  """
  now = time.monotonic()
  elapsed, steps = max(now - clock["since"], 1e-9), step - clock["step"]
  speed = steps * batch_size / elapsed
  found = {
    "images_per_second": speed,
    **_percentiles(sorted(clock["seconds"])),
    "data_wait": min(clock["waited"] / elapsed, 1.0),
    "saving_seconds": clock["saving"] / max(steps, 1),
  }
  if peak:
    found["mfu"] = speed / peak
  clock["seconds"].clear()
  clock.update(since=now, step=step, waited=0.0, saving=0.0)
  return found


def _percentiles(ordered: list[float]) -> dict[str, float]:
  """The smallest values that 50 % and 95 % of the values do not exceed."""
  return {
    f"step_seconds_p{percent}": ordered[-(-len(ordered) * percent // 100) - 1]
    for percent in (50, 95)
    if ordered
  }


def goodput(spent: Mapping[str, float], began: float | None) -> float | None:
  """The share of the time since the first start that useful steps took.

  Args:
    spent: of the record.
    began: the first start of the run, in seconds of `time.time`; None if
      unknown.

  Returns:
    The share, in [0, 1]. None if the first start is unknown, or if the system
    clock was set back: then the time since the start is less than the time
    spent.
  """
  wall = _wall(spent, began)
  return None if wall is None else spent["steps"] / max(wall, 1e-9)


def summary(spent: Mapping[str, float], began: float | None) -> dict[str, Any]:
  """The fields of result.json on time: goodput, and the seconds by their use.

  "other" is the time of process starts, of downtime and of lost work. It is
  None if unknown: see `goodput`.
  """
  wall = _wall(spent, began)
  other = None if wall is None else wall - sum(spent.values())
  return {
    "goodput": goodput(spent, began),
    "seconds_spent": {**spent, "other": other},
  }


def _wall(spent: Mapping[str, float], began: float | None) -> float | None:
  """Seconds since the first start, at least the time spent; None if unknown."""
  if began is None:
    return None
  wall, least = time.time() - began, sum(spent.values())
  return max(wall, least) if wall > least - _CLOCK_SECONDS else None
