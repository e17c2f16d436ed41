"""The objective of a sweep by two settings: a table of means, or contours."""

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.report import charts, figures, html, numbers, settings_tables
from jaxvision.runs import sweep_folder
from jaxvision.runs.sweep_folder import Sweep, Trial

_SETTINGS = 3  # pairs of these
_MOST_CELLS = 8  # rows or columns; more numbers are divided into parts
_PARTS = 6
_MOST_LABELS = 40  # a table with more labels has a value in few of its cells
_LEVELS = 8
_TINTS = (0.06, 0.6)  # opacity of the worst and of the best cell


def contours(sweep: Sweep, keys: Sequence[str]) -> str:
  """A figure for each pair of the first settings; "" for fewer than two.

  Two settings with many numbers have contours between the trials. Others have
  a table with the mean of the trials of each cell.

  Args:
    sweep: the sweep.
    keys: the settings, the most important first.
  """
  return "".join(
    _pair(sweep, *pair) for pair in itertools.combinations(keys[:_SETTINGS], 2)
  )


def _pair(sweep: Sweep, x: str, y: str) -> str:
  trials = [
    trial
    for trial in sweep_folder.ranked(sweep)
    if x in trial.settings and y in trial.settings
  ]
  columns = sweep_folder.columns(trials, (x, y))
  if any(len(set(map(str, each))) < 2 for each in columns.values()):
    return ""
  if all(map(_is_continuous, columns.values())):
    return _surface(sweep, trials, columns)
  return _table(sweep, trials, columns)


def _is_continuous(values: Sequence[Any]) -> bool:
  return sweep_folder.is_numeric(values) and len(set(values)) > _MOST_CELLS


def _title(x: str, y: str) -> str:
  return f"{_short(x)} and {_short(y)}"


def _short(key: str) -> str:
  return key.rpartition(".")[2]


def _table(
  sweep: Sweep, trials: Sequence[Trial], columns: Mapping[str, Sequence[Any]]
) -> str:
  """The mean of the trials of each cell, with a tint."""
  (x, of_x), (y, of_y) = columns.items()
  (x_labels, x_places), (y_labels, y_places) = _places(of_x), _places(of_y)
  if max(len(x_labels), len(y_labels)) > _MOST_LABELS:
    return ""
  values = collections.defaultdict(list)
  for row, column, trial in zip(y_places, x_places, trials, strict=True):
    values[row, column].append(trial.value)
  means = {cell: float(np.mean(each)) for cell, each in values.items()}
  head = "".join(f"<th>{html.escape(each)}</th>" for each in x_labels)
  body = "".join(
    f"<tr><th>{html.escape(name)}</th>"
    + "".join(
      _cell(sweep, means, len(values[row, column]), (row, column))
      for column in range(len(x_labels))
    )
    + "</tr>"
    for row, name in enumerate(y_labels)
  )
  corner = html.escape(f"{_short(y)} ↓ {_short(x)} →")
  width = 142 + 76 * len(x_labels)
  return html.figure(
    f'<div class="scroll"><table class="heat" style="min-width:{width}px">'
    f'<thead><tr><th class="soft">{corner}</th>{head}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>",
    title=_title(x, y),
    caption=f"Means of {html.escape(sweep.metric)}; the best are dark.",
  )


def _cell(
  sweep: Sweep,
  means: Mapping[tuple[int, int], float],
  count: int,
  cell: tuple[int, int],
) -> str:
  if cell not in means:
    return '<td class="none">·</td>'
  scores = [sweep.sign * value for value in means.values()]
  low, high = min(scores), max(scores)
  share = (sweep.sign * means[cell] - low) / ((high - low) or 1.0)
  tint = _TINTS[0] + (_TINTS[1] - _TINTS[0]) * share
  trials = f"{count} trial{'s' * (count > 1)}"
  return (
    f'<td style="--a:{tint:.2f}" title="{trials}">'
    f"{numbers.metric(sweep.metric, means[cell])}</td>"
  )


def _places(values: Sequence[Any]) -> tuple[list[str], list[int]]:
  """The labels of an axis, and the place of each value among them."""
  if _is_continuous(values):
    return _parts(np.array(values, float))
  known = (
    set(values) if sweep_folder.is_numeric(values) else set(map(str, values))
  )
  order = {str(value): place for place, value in enumerate(sorted(known))}
  labels = [settings_tables.written(value) for value in sorted(known)]
  return labels, [order[str(value)] for value in values]


def _parts(values: np.ndarray) -> tuple[list[str], list[int]]:
  """Equal parts of the range of values (n,)."""
  space = np.geomspace if charts.is_wide(values) else np.linspace
  edges = space(values.min(), values.max(), _PARTS + 1)
  labels = [f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(edges)]
  return labels, np.digitize(values, edges[1:-1]).tolist()


def _surface(
  sweep: Sweep, trials: Sequence[Trial], columns: Mapping[str, Sequence[Any]]
) -> str:
  """Contours of the means, linear between the trials (Delaunay); inline SVG."""
  from matplotlib.figure import Figure
  from matplotlib.tri import Triangulation

  by_place = collections.defaultdict(list)
  scale = numbers.scale(sweep.metric)
  for place, trial in zip(
    zip(*columns.values(), strict=True), trials, strict=True
  ):
    by_place[place].append(scale * trial.value)
  points = np.array([*by_place], float).T
  means = np.array([np.mean(each) for each in by_place.values()])
  wide = [charts.is_wide(each) for each in points]
  levelled = [np.log(v) if w else v for v, w in zip(points, wide, strict=True)]
  span = [np.ptp(each) for each in levelled]
  try:
    mesh = Triangulation(
      *(v / s for v, s in zip(levelled, span, strict=True))
    ).triangles
  except RuntimeError:  # all on one line
    return ""
  colours = {"ink": "#010000", "train": "#010001"}
  tints = np.linspace(*_TINTS, _LEVELS)
  # Matplotlib has alpha as a fourth number, and writes it as an opacity.
  fills = [(1 / 255, 0, 1 / 255, float(tint)) for tint in tints][:: sweep.sign]
  figure = Figure(figsize=(4.6, 3.4), layout="constrained")
  axes = figure.add_subplot()
  levels = np.linspace(means.min(), means.max(), _LEVELS + 1)
  if levels[0] == levels[-1]:
    return ""
  where = Triangulation(*points, mesh)
  axes.tricontourf(where, means, levels=levels, colors=fills)
  lines = axes.tricontour(
    where, means, levels=levels[1:-1], colors=colours["ink"], linewidths=0.5
  )
  axes.clabel(lines, fontsize=7, fmt=lambda value: f"{value:.4g}")
  axes.plot(*points, ".", color=colours["ink"], markersize=3)
  for axis, is_log in zip("xy", wide, strict=True):
    if is_log:
      axes.set(**{f"{axis}scale": "log"})
  x, y = columns
  axes.set(xlabel=_short(x), ylabel=_short(y))
  figures.colour_frame(axes, colours)
  unit = " in percent" if scale == 100 else ""
  return html.figure(
    figures.svg(figure, colours, salt=f"{x} {y}"),
    title=_title(x, y),
    caption=f"{html.escape(sweep.metric)}{unit}, linear between the trials "
    "(points); the best are dark.",
  )
