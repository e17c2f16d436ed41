"""The row of a sweep in the overview: counts of trials, and the best value."""

import collections
from collections.abc import Mapping, Sequence

from jaxvision.report import run_row
from jaxvision.report.run_row import Row
from jaxvision.runs.watching import Run, Sweep

# A sweep runs if a worker has written something in these seconds, even if no
# trial runs: workers import and compile between trials.
_RECENT_SECONDS = 60.0
_ORDER = ("complete", "pruned", "failed", "running", "stalled", "stopped")


def of(name: str, sweep: Sweep, trials: Sequence[Row], *, now: float) -> Row:
  """The row of a sweep.

  Args:
    name: of the row.
    sweep: the sweep.
    trials: the rows of its trials, in the same order.
    now: in seconds of `time.time`.
  """
  aim, total = sweep.definition.get("objective", {}), _total(sweep)
  goal = aim.get("goal", "maximize")
  counts = _counts(sweep, trials)
  ended = sum(_is_ended(run) for run in sweep.trials.values())
  best = _best(sweep.trials, goal)
  live = [row for row in trials if row.state == "running"]
  speeds = [row.images_per_second for row in live if row.images_per_second]
  newest = max(_times(sweep, "metrics.jsonl", "trial.json"), default=None)
  return Row(
    name=name,
    kind="sweep",
    workdir=str(sweep.workdir),
    state="failed" if sweep.problem else _state(sweep, counts, ended, now),
    reason=sweep.problem or _text(counts, best),
    step=ended,
    total_steps=total,
    percent=100 * ended / total if total else None,
    metric=aim.get("metric", ""),
    best=sweep.trials[best].trial["value"] if best else None,
    goal=goal,
    images_per_second=sum(speeds) if speeds else None,
    age_seconds=None if newest is None else max(now - newest, 0.0),
    trials=counts,
  )


def _total(sweep: Sweep) -> int | None:
  return sweep.definition.get("trials")


def _is_ended(run: Run) -> bool:
  return run.trial.get("state") in run_row.ENDED


def _counts(sweep: Sweep, trials: Sequence[Row]) -> dict[str, int]:
  """{state: number of trials}, without zeros.

  A trial without an end is "running", "stalled", or "stopped" if its process
  has ended: it waits for another worker. "waiting" trials have not started.
  """
  counts = collections.Counter()
  for row, run in zip(trials, sweep.trials.values(), strict=True):
    if _is_ended(run):
      counts[run.trial["state"]] += 1
    else:
      # The worker of a finished run is about to record its value.
      counts["running" if row.state == "finished" else row.state] += 1
  found = {each: counts[each] for each in _ORDER if counts[each]}
  waiting = (_total(sweep) or 0) - len(trials)
  return found | ({"waiting": waiting} if waiting > 0 else {})


def _best(trials: Mapping[str, Run], goal: str) -> str | None:
  """The folder name of the best complete trial; None without one."""
  values = {
    name: run.trial["value"]
    for name, run in trials.items()
    if run.trial.get("state") == "complete"
  }
  pick = min if goal == "minimize" else max
  return pick(values, key=values.get) if values else None


def _state(
  sweep: Sweep, counts: Mapping[str, int], ended: int, now: float
) -> str:
  if "running" in counts:
    return "running"
  if ended >= (_total(sweep) or 0):
    return "finished" if "complete" in counts else "failed"
  if "stalled" in counts:
    return "stalled"
  began = [sweep.stamp.time] if sweep.stamp else [0.0]
  newest = max([*began, *_times(sweep, "trial.json")])
  return "running" if now - newest <= _RECENT_SECONDS else "stopped"


def _times(sweep: Sweep, *names: str) -> list[float]:
  """The times of the last changes of these files of the trials."""
  return [
    run.stamps[name].time
    for run in sweep.trials.values()
    for name in names
    if name in run.stamps
  ]


def _text(counts: Mapping[str, int], best: str | None) -> str:
  parts = [f"{count} {name}" for name, count in counts.items()]
  return ", ".join([*parts, *([f"best is trial {best}"] if best else [])])
