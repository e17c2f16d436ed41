"""A summary that grows by parts equals that of all lines."""

import math
import statistics

import pytest
import watched_runs

from jaxvision.runs import log_summary
from jaxvision.runs.log_summary import Curve, Summary


def _rows(steps, **options):
  return [
    {"step": step, **watched_runs.values(step, **options)} for step in steps
  ]


def test_parts_give_the_same_summary_as_all_lines():
  rows = _rows(range(10, 210, 10))
  rows.insert(5, {"step": 50, "validation/top1": 0.5})
  whole, parts = log_summary.add(Summary(), rows), Summary()
  for start in range(0, len(rows), 3):
    parts = log_summary.add(parts, rows[start : start + 3])
  assert parts == whole
  assert whole.step == 200
  assert whole.epochs_per_step == pytest.approx(1 / watched_runs.PER_EPOCH)
  assert whole.curves["train/loss"] == Curve(1 / 200, 1 / 200, 1 / 10)


def test_nan_is_the_last_value_but_never_the_best():
  values = [math.nan, 0.5, 0.75, math.inf, math.nan]
  rows = [{"step": i, "a": value} for i, value in enumerate(values)]
  curve = log_summary.add(Summary(), rows).curves["a"]
  assert math.isnan(curve.last)
  assert (curve.lowest, curve.highest) == (0.5, 0.75)
  curve = log_summary.add(Summary(), rows[:1]).curves["a"]
  assert (curve.lowest, curve.highest) == (None, None)


def test_the_pace_leaves_out_the_time_before_the_first_line():
  # 100 seconds of compilation, then half a second for each step.
  rows = [{"step": step, "seconds": 100 + 0.5 * step} for step in (10, 20, 40)]
  first = log_summary.add(Summary(), rows[:1])
  assert log_summary.seconds_per_step(first) == 10.5
  whole = log_summary.add(first, rows[1:])
  assert log_summary.seconds_per_step(whole) == 0.5
  gaps = [105, 5, 10]
  assert log_summary.usual_gap(whole) == statistics.median(gaps)
  assert whole.longest_gap == max(gaps)


def test_runs_that_train_together_take_the_time_of_all():
  """`seconds` of a trial is its share of the time."""
  alone = log_summary.add(Summary(), _rows([10, 20, 30]))
  shares = [
    {**row, "seconds": row["seconds"] / 4, "runs_together": 4}
    for row in _rows([10, 20, 30])
  ]
  together = log_summary.add(Summary(), shares)
  assert together.gaps == pytest.approx(alone.gaps)
  assert together.latest == pytest.approx(alone.latest)


def test_the_memory_does_not_grow_with_the_log():
  short, long = (
    log_summary.add(Summary(), _rows(range(1, count))) for count in (1000, 5000)
  )
  assert len(repr(long)) < 1.2 * len(repr(short))


def test_without_times_the_pace_is_unknown():
  summary = log_summary.add(Summary(), [{"step": 1}, {"step": 2}])
  assert log_summary.seconds_per_step(summary) is None
  assert log_summary.usual_gap(summary) is None
