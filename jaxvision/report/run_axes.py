"""The horizontal axes of the curves of runs: steps, epochs and time."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxvision.report import charts
from jaxvision.runs import reading
from jaxvision.runs.reading import Run


@dataclasses.dataclass(frozen=True)
class Axes:
  """The axes that the logs of all runs of a chart have.

  Attributes:
    labels: {name: label} of "step", "epoch" and "time".
    seconds: the unit of time.
  """

  labels: Mapping[str, str]
  seconds: float = 1.0


def of(runs: Sequence[Run]) -> Axes:
  """The axes of some runs, at least one."""
  found = {"step": "step"}
  if all(reading.steps_per_epoch(run) for run in runs):
    found["epoch"] = "epoch"
  times = [reading.series(run, "seconds")[1] for run in runs]
  if not all(np.isfinite(each).any() for each in times):
    return Axes(found)
  longest = max(np.nanmax(each) for each in times)
  units = (("h", 3600.0), ("min", 60.0))
  unit, seconds = next((u for u in units if longest > 2 * u[1]), ("s", 1.0))
  return Axes(found | {"time": f"time in the loop ({unit})"}, seconds)


def curve(
  run: Run,
  steps: np.ndarray,
  values: np.ndarray,
  *,
  name: str,
  axes: Axes,
  style: tuple[str, str] = ("train", "solid"),
  note: str = "",
) -> charts.Series:
  """Values (n,) at steps (n,) of a run; `style` is a colour and a dash."""
  return charts.Series(
    name, places(run, steps, axes), values, *style, note=note
  )


def places(run: Run, steps: np.ndarray, axes: Axes) -> dict[str, np.ndarray]:
  """The places of steps (n,) of a run on each axis, (n,) float.

  Evaluations have no time of their own: it is interpolated between lines of
  the log that have one.
  """
  found = {"step": np.asarray(steps, float)}
  if "epoch" in axes.labels:
    found["epoch"] = found["step"] / reading.steps_per_epoch(run)
  if "time" in axes.labels:
    known, seconds = reading.series(run, "seconds")
    finite = np.isfinite(seconds)
    times = seconds[finite] / axes.seconds
    found["time"] = np.interp(steps, known[finite], times)
  return found
