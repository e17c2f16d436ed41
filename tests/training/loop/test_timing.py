"""The clock of the loop, with a simulated time."""

import statistics

import pytest

from jaxvision.training.loop import timing, train_loop


@pytest.fixture
def now(monkeypatch):
  """A list of one number, the time of `time.monotonic` and `time.time`."""
  now = [1000.0]
  monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
  monkeypatch.setattr(timing.time, "time", lambda: now[0])
  return now


def _feed(now, waits, block):
  for number, seconds in enumerate(waits, 1):
    now[0] += seconds
    yield number * block, None


@pytest.mark.parametrize("block", [1, 4])
def test_speeds_of_a_line(now, block):
  clock = timing.start_clock(0)
  waits, works = [0.5, 0.5, 1.0, 2.0, 0.0], [1.5, 1.5, 3.0, 1.0, 1.0]
  for step, _ in timing.timed(_feed(now, waits, block), clock):
    now[0] += works[step // block - 1]
  total, calls = sum(waits) + sum(works), len(works)
  found = timing.values(calls * block, clock, batch_size=10, peak=100.0)
  each = [(a + b) / block for a, b in zip(waits, works, strict=True)]
  speed = calls * block * 10 / total
  assert found == pytest.approx(
    {
      "images_per_second": speed,
      "step_seconds_p50": statistics.median_low(each),
      "step_seconds_p95": max(each),
      "data_wait": sum(waits) / total,
      "saving_seconds": 0.0,
      "mfu": speed / 100,
    }
  )


def test_a_line_does_not_depend_on_the_previous_line(now):
  clock = timing.start_clock(0)
  for step, _ in timing.timed(_feed(now, [1.0, 9.0], 1), clock):
    if step == 2:
      first = timing.values(1, clock, batch_size=10, peak=None)
    now[0] += 1.0
  clock["saving"] += 3.0
  second = timing.values(2, clock, batch_size=10, peak=None)
  # The step that is sent after a line was due belongs to the next.
  assert first["step_seconds_p95"] == 2.0
  assert second["step_seconds_p95"] == 10.0
  assert second["saving_seconds"] == 3.0
  third = timing.values(3, clock, batch_size=10, peak=None)
  assert third["saving_seconds"] == third["data_wait"] == 0.0
  assert "step_seconds_p50" not in third
  assert "mfu" not in third


def test_skipped_time_does_not_lower_the_throughput(now):
  clock = timing.start_clock(0)
  for _ in timing.timed(_feed(now, [0.0, 0.0], 1), clock):
    now[0] += 1.0
    now[0] += 50.0
    timing.skip(50.0, clock)
  found = timing.values(2, clock, batch_size=10, peak=None)
  assert found["images_per_second"] == 10.0
  assert found["step_seconds_p95"] == 1.0


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100])
def test_percentiles_are_the_smallest_sufficient_values(now, count):
  clock = timing.start_clock(0)
  clock["seconds"] = [float(x) for x in reversed(range(count))]
  found = timing.values(count, clock, batch_size=1, peak=None)
  for percent in (50, 95):
    value = found[f"step_seconds_p{percent}"]
    assert 100 * (value + 1) >= percent * count > 100 * value


def test_runs_of_a_stack_share_the_time(now):
  records = [train_loop.empty_record() for _ in range(4)]
  clock = timing.start_clock(0)
  now[0] += 10.0
  assert timing.spend("steps", clock, records) == 10.0
  now[0] += 3.0
  assert timing.spend("saving", clock, records[:2]) == 3.0
  assert [record["seconds"] for record in records] == [4.0, 4.0, 2.5, 2.5]
  assert records[0]["spent"]["steps"] == 2.5
  assert records[0]["spent"]["saving"] == 1.5


def test_goodput_does_not_count_lost_work(now):
  """10 s of steps are saved, 5 s are lost, and the downtime is 100 s."""
  record = train_loop.empty_record()
  began = now[0]
  clock = timing.start_clock(0)
  now[0] += 10.0
  timing.spend("steps", clock, [record])
  now[0] += 2.0
  timing.spend("saving", clock, [record])
  saved = {**record, "spent": dict(record["spent"])}
  now[0] += 5.0 + 100.0
  clock = timing.start_clock(0)
  now[0] += 3.0
  timing.spend("steps", clock, [saved])
  assert saved["seconds"] == 15.0
  summary = timing.summary(saved["spent"], began)
  assert summary["goodput"] == pytest.approx(13 / 120)
  assert summary["seconds_spent"] == {
    "starting": 0.0,
    "steps": 13.0,
    "evaluating": 0.0,
    "saving": 2.0,
    "other": 105.0,
  }


@pytest.mark.parametrize("began", [1005.0, 941.5, None])
def test_goodput_is_not_known_when_the_clock_was_set_back(now, began):
  """A monotonic clock has counted 60 s."""
  spent = dict.fromkeys(timing.KINDS, 0.0) | {"steps": 50.0, "saving": 10.0}
  assert now[0] == 1000.0
  summary = timing.summary(spent, began)
  assert summary["goodput"] is None
  assert summary["seconds_spent"]["other"] is None
  assert timing.goodput(spent, began) is None


def test_a_synchronised_clock_may_move_slightly(now):
  spent = dict.fromkeys(timing.KINDS, 0.0) | {"steps": 50.0, "saving": 10.0}
  summary = timing.summary(spent, now[0] - 59.5)
  assert summary["goodput"] == pytest.approx(50 / 60)
  assert summary["seconds_spent"]["other"] == 0.0
