"""A summary of the lines of a log, which new lines extend.

The memory of a summary does not grow with the log.
"""

import collections
import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

_GAPS = 50  # times between two lines that are kept
Row = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Curve:
  """The values of a metric.

  Attributes:
    last: the newest value; it may be NaN.
    lowest, highest: of the finite values; None if there are none.
  """

  last: float
  lowest: float | None
  highest: float | None


@dataclasses.dataclass(frozen=True)
class Summary:
  """The lines of a log so far.

  Attributes:
    step: the largest step; 0 without lines.
    curves: {name: its values}, for every name in a line except "step".
    epochs_per_step: None if no line has an epoch.
    first, latest: (step, seconds of training) of the first and the newest line
      with a time; None without one. Runs that train together share the time
      of their steps: these are the seconds on the clock.
    gaps: seconds between two lines, of the newest lines.
    longest_gap: of all lines.
  """

  step: int = 0
  curves: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
  epochs_per_step: float | None = None
  first: tuple[int, float] | None = None
  latest: tuple[int, float] | None = None
  gaps: tuple[float, ...] = ()
  longest_gap: float = 0.0


def add(summary: Summary, rows: Sequence[Row]) -> Summary:
  """The summary with more lines, as of `metrics_log.read_lines`."""
  if not rows:
    return summary
  columns = collections.defaultdict(list)
  for row in rows:
    for name, value in row.items():
      columns[name].append(value)
  steps = columns.pop("step")
  curves = {
    name: _curve(values, summary.curves.get(name))
    for name, values in columns.items()
  }
  epochs = [row["epoch"] / row["step"] for row in rows if _has_epoch(row)]
  return dataclasses.replace(
    _timed(summary, rows),
    step=max(summary.step, *steps),
    curves={**summary.curves, **curves},
    epochs_per_step=epochs[-1] if epochs else summary.epochs_per_step,
  )


def usual_gap(summary: Summary) -> float | None:
  """The median of the seconds between two lines; None if unknown."""
  return statistics.median(summary.gaps) if summary.gaps else None


def seconds_per_step(summary: Summary) -> float | None:
  """The mean over the lines after the first; None if unknown.

  It contains evaluations and checkpoints. The time until the first line
  contains compilations, and counts only as long as there is no other line.
  """
  if summary.latest is None:
    return None
  step, seconds = summary.latest
  if summary.first != summary.latest:
    step, seconds = step - summary.first[0], seconds - summary.first[1]
  return seconds / step if step > 0 else None


def _curve(values: Sequence[float], before: Curve | None) -> Curve:
  finite = [value for value in values if math.isfinite(value)]
  if before and before.lowest is not None:
    finite += [before.lowest, before.highest]
  return Curve(values[-1], min(finite, default=None), max(finite, default=None))


def _has_epoch(row: Row) -> bool:
  return row["step"] > 0 and math.isfinite(row.get("epoch", math.nan))


def _timed(summary: Summary, rows: Iterable[Row]) -> Summary:
  """The summary with the times of more lines."""
  first, latest, gaps = summary.first, summary.latest, list(summary.gaps)
  before = summary.curves.get("seconds")
  shared = before.last if before and math.isfinite(before.last) else 0.0
  longest = summary.longest_gap
  for row in rows:
    if not math.isfinite(row.get("seconds", math.nan)):
      continue
    # Runs that train together have equal shares of the time.
    gap = (row["seconds"] - shared) * row.get("runs_together", 1)
    shared, gap = row["seconds"], max(gap, 0.0)
    latest = (row["step"], (latest[1] if latest else 0.0) + gap)
    first = first or latest
    longest = max(longest, gap)
    gaps.append(gap)
  return dataclasses.replace(
    summary,
    first=first,
    latest=latest,
    gaps=tuple(gaps[-_GAPS:]),
    longest_gap=longest,
  )
