"""How fast a run goes, and on what its time is spent.

A clock is a dict of the loop: the seconds and steps since the last line of the
log. The record of a run contains `record["spent"]`, the seconds by what they
were spent on. It is saved with each checkpoint, so work that was lost in a
crash is not counted.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What the seconds of a run are spent on; only those in steps are useful.
KINDS = ("starting", "steps", "evaluating", "saving")

Clock = dict[str, Any]
Record = dict[str, Any]


# Clocks that are kept right are moved by so little.
_CLOCK_SECONDS = 1.0


def start_clock(step: int) -> Clock:
  """The clock of a loop that begins after a step.

  Its keys, times in seconds of `time.monotonic`: since, of the last line, as if
  there were neither evaluations nor checkpoints, and step, its number; spent,
  the end of the time that the records contain; asked, when the feed was asked
  for the batch; saved, of the last save. Sums since the last line: waited, for
  the feed; saving, for checkpoints; and the seconds of each step.
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
  """The same batches; the clock learns how long each took to come and go."""
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
    kind: of `KINDS`, what the time was spent on.
    clock: of the loop.
    records: of the runs that were trained in this time, at least one.

  Returns:
    The seconds, not divided.
  """
  now = time.monotonic()
  seconds, clock["spent"] = now - clock["spent"], now
  for record in records:
    record["spent"][kind] += seconds / len(records)
    record["seconds"] += seconds / len(records)
  return seconds


def skip(seconds: float, clock: Clock) -> None:
  """Leaves out of all speeds a time in which no steps were taken."""
  clock["since"] += seconds
  clock["asked"] += seconds


def values(
  step: int, clock: Clock, *, batch_size: int, peak: float | None
) -> dict[str, float]:
  """The speeds since the last line; a new line begins.

  Args:
    step: that the line is written after.
    clock: of the loop.
    batch_size: examples in a step.
    peak: images per second that the devices could compute; None is unknown.

  Returns:
    images_per_second; step_seconds_p50 and _p95, percentiles over the steps, of
    those of one call their mean; data_wait, the share of the time in which the
    loop waited for its batch, in [0, 1]; saving_seconds, per step, in which it
    waited for checkpoints; mfu, the share of the peak, where that is known.
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
  """The smallest values that half and 95 % of them do not exceed."""
  return {
    f"step_seconds_p{percent}": ordered[-(-len(ordered) * percent // 100) - 1]
    for percent in (50, 95)
    if ordered
  }


def goodput(spent: Mapping[str, float], began: float | None) -> float | None:
  """The share of the time since the first start that useful steps took.

  Args:
    spent: of the record.
    began: the first start of the run, seconds of `time.time`; None is lost.

  Returns:
    The share, in [0, 1]; None where it is not known: the first start is lost,
    or less time than was spent has passed since, for the clock was set back.
  """
  wall = _wall(spent, began)
  return None if wall is None else spent["steps"] / max(wall, 1e-9)


def summary(spent: Mapping[str, float], began: float | None) -> dict[str, Any]:
  """What result.json says: goodput, and the seconds that make it up.

  "other" are processes that start, that are down, and work done twice; None
  where that is not known: see `goodput`.
  """
  wall = _wall(spent, began)
  other = None if wall is None else wall - sum(spent.values())
  return {
    "goodput": goodput(spent, began),
    "seconds_spent": {**spent, "other": other},
  }


def _wall(spent: Mapping[str, float], began: float | None) -> float | None:
  """Seconds since the first start, none of which were spent twice."""
  if began is None:
    return None
  wall, least = time.time() - began, sum(spent.values())
  return max(wall, least) if wall > least - _CLOCK_SECONDS else None
