"""Parallel coordinates: a trial is a line through settings and value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.report import charts, figures
from jaxvision.runs import sweep_folder

_MOST_TICKS = 5
_MOST_LABELS = 12
_LONGEST_LABEL = 24  # characters; a genotype has over 100
_BEST = 0.1  # fraction of the lines in colour


def parallel_coordinates(
  columns: Mapping[str, Sequence[Any]], values: np.ndarray, *, name: str
) -> str:
  """Draws trials as inline SVG, with the best tenth in colour.

  Args:
    columns: {setting: its value in each trial}; None leaves a gap.
    values: (n,) values of the objective, best trial first.
    name: name of the objective, for the last axis.

  Returns:
    An `<svg>` element.
  """
  from matplotlib.figure import Figure

  colours = {"ink": "#010000", "grid": "#010001", "series-1": "#010002"}
  axes_of = {**columns, name: values.tolist()}
  width = max(4.6, 1.7 * len(axes_of))
  figure = Figure(figsize=(width, 3.4), layout="constrained")
  axes = figure.add_subplot()
  heights = []
  for place, (key, column) in enumerate(axes_of.items()):
    scaled, ticks = _scaled(column)
    heights.append(scaled)
    _draw_axis(axes, place, key, ticks, colours)
  best = max(1, round(_BEST * len(values)))
  # The best trials are drawn last, above the others.
  for line in reversed(range(len(values))):
    is_best = line < best
    axes.plot(
      [height[line] for height in heights],
      color=colours["series-1" if is_best else "ink"],
      linewidth=1.8 if is_best else 0.8,
      alpha=1 if is_best else 0.3,
    )
  axes.axis("off")
  return figures.svg(figure, colours, salt="parallel")


def _draw_axis(
  axes: Any,
  place: int,
  key: str,
  ticks: Mapping[str, float],
  colours: Mapping[str, str],
) -> None:
  axes.axvline(place, color=colours["grid"], linewidth=1.2, zorder=0)
  for text, height in ticks.items():
    axes.text(place + 0.03, height, text, color=colours["ink"], fontsize=7.5)
  title = key.split(".")[-1].split("/")[-1]
  axes.text(place, 1.08, title, color=colours["ink"], fontsize=8.5, ha="center")


def _scaled(column: Sequence[Any]) -> tuple[np.ndarray, dict[str, float]]:
  """Heights in [0, 1] (NaN for a missing value), and ticks {text: height}."""
  if not sweep_folder.is_numeric(column):
    labels = sorted({str(value) for value in column if value is not None})
    last = max(1, len(labels) - 1)
    heights = {label: i / last for i, label in enumerate(labels)}
    places = [heights.get(str(value), np.nan) for value in column]
    step = -(-len(labels) // _MOST_LABELS)
    shown = {_shortened(label): heights[label] for label in labels[::step]}
    return np.array(places), shown
  numbers = np.array([np.nan if v is None else v for v in column], float)
  low, high = np.nanmin(numbers), np.nanmax(numbers)
  marks = np.linspace(low, high, _MOST_TICKS)
  if charts.is_wide(numbers[np.isfinite(numbers)]):
    numbers, marks = np.log(numbers), np.geomspace(low, high, _MOST_TICKS)
    heights = np.log(marks)
  else:
    heights = marks
  start, span = heights[0], (heights[-1] - heights[0]) or 1.0
  texts = (f"{mark:.3g}" for mark in marks)
  ticks = dict(zip(texts, ((heights - start) / span).tolist(), strict=False))
  return (numbers - start) / span, ticks


def _shortened(label: str) -> str:
  if len(label) <= _LONGEST_LABEL:
    return label
  return f"{label[: _LONGEST_LABEL - 3]}..."
