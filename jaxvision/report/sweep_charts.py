"""Charts of a sweep: its history, and the values by each setting."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxvision.report import charts, numbers, settings_tables
from jaxvision.runs import reading, sweep_folder
from jaxvision.runs.sweep_folder import Sweep, Trial

# More trials would make the page large: those of equal distances are shown.
_MOST_TRIALS = 1000
_MOST_MEANS = 20  # more values are drawn, and not listed
_MARGIN = 0.04  # free part of an axis at both ends


def history(sweep: Sweep, *, by_best: bool) -> str:
  """The chart of the trials in their order; "" without a value.

  Args:
    sweep: the sweep.
    by_best: whether the chart has the best value so far.
  """
  complete = [t for t in sweep.trials if t.state == "complete"]
  pruned = [t for t in sweep.trials if t.state == "pruned" and t.run]
  curves = [
    _points("complete", complete, [t.value for t in complete], sweep),
    _points("pruned", pruned, [_last(t, sweep) for t in pruned], sweep),
  ]
  if by_best and complete:
    best = sweep.sign * np.maximum.accumulate(
      [sweep.sign * trial.value for trial in complete]
    )
    # Steps: a value stays until the next trial.
    best = np.repeat(_scaled(best, sweep), 2)[:-1]
    places = np.repeat([float(trial.number) for trial in complete], 2)[1:]
    curves.append(charts.Series("best so far", {"x": places}, best, "series-1"))
  return _figure(sweep, curves, title="History", name="trial")


def slices(sweep: Sweep, keys: Sequence[str]) -> str:
  """A chart of the complete trials by each setting.

  Args:
    sweep: the sweep.
    keys: the settings, in the order of their charts.
  """
  return "".join(_slice(sweep, key) for key in keys)


def label(sweep: Sweep) -> str:
  """The objective with its unit, for an axis."""
  share = numbers.is_share(sweep.metric)
  return f"{sweep.metric} (%)" if share else sweep.metric


def _slice(sweep: Sweep, key: str) -> str:
  trials = [t for t in sweep_folder.ranked(sweep) if key in t.settings]
  values = [trial.settings[key] for trial in trials]
  if not trials:
    return ""
  categories, wide, bounds = {}, (), {}
  if not sweep_folder.is_numeric(values):
    names = sorted({settings_tables.written(value) for value in values})
    places = [names.index(settings_tables.written(v)) for v in values]
    categories = {"x": names}
  else:
    places = values
    wide = ("x",) if charts.is_wide(np.array(values, float)) else ()
    bounds = {"x": _bounds(np.array(values, float), wide=bool(wide))}
  order = np.argsort(places, kind="stable")
  trials = [trials[i] for i in order]
  ordered = [float(places[i]) for i in order]
  found = [trial.value for trial in trials]
  curves = [_points("trials", trials, found, sweep, places=ordered)]
  by_place = collections.defaultdict(list)
  for place, value in zip(ordered, found, strict=True):
    by_place[place].append(value)
  if len(by_place) < min(len(trials), _MOST_MEANS):
    means = np.array([np.mean(each) for each in by_place.values()])
    dash, shape = ("none", "rectRot") if categories else ("solid", "circle")
    curves.append(
      charts.Series(
        *("mean", {"x": np.array([*by_place])}, _scaled(means, sweep)),
        *("series-1", dash, shape),
      )
    )
  return _figure(
    sweep,
    curves,
    title=key,
    name=key.rpartition(".")[2],
    bounds=bounds,
    categories=categories,
    wide=wide,
  )


def _points(
  name: str,
  trials: Sequence[Trial],
  values: Sequence[float],
  sweep: Sweep,
  *,
  places: Sequence[float] | None = None,
) -> charts.Series:
  """The points of some trials, at their numbers or at other places."""
  if places is None:
    places = [trial.number for trial in trials]
  count = len(trials)
  kept = np.unique(
    np.linspace(0, count - 1, min(count, _MOST_TRIALS), dtype=int)
  )
  return charts.Series(
    name,
    {"x": np.array(places, float)[kept]},
    _scaled(np.array(values, float)[kept], sweep),
    {"pruned": "series-6"}.get(name, "series-0"),
    dash="none",
    shape={"pruned": "crossRot"}.get(name, "circle"),
    texts=[
      f"trial {trials[i].number}, {settings_tables.text(trials[i].settings)}"
      for i in kept
    ],
  )


def _figure(
  sweep: Sweep,
  curves: Sequence[charts.Series],
  *,
  title: str,
  name: str,
  **options: Any,
) -> str:
  """The figure of the curves that have values; "" without any."""
  # The first curve is drawn last, above the others.
  shown = [each for each in reversed(curves) if np.isfinite(each.y).any()]
  if not shown:
    return ""
  return charts.figure(
    charts.Chart(
      shown,
      title=title,
      axes={"x": name},
      label=label(sweep),
      logarithm="if wide" if sweep.metric.endswith("loss") else "offered",
      **options,
    )
  )


def _scaled(values: np.ndarray, sweep: Sweep) -> np.ndarray:
  """Values (n,) in the unit of `label`."""
  return numbers.scale(sweep.metric) * values


def _last(trial: Trial, sweep: Sweep) -> float:
  """The last value of the objective before a trial was pruned."""
  _, values = reading.series(trial.run, sweep.metric)
  return float(values[-1]) if values.size else float("nan")


def _bounds(values: np.ndarray, *, wide: bool) -> list[float]:
  """The ends of an axis, with a margin."""
  low, high = (np.log if wide else np.asarray)([values.min(), values.max()])
  margin = _MARGIN * (high - low) or 0.5
  ends = np.array([low - margin, high + margin])
  return (np.exp(ends) if wide else ends).tolist()
