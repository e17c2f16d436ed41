"""Interactive charts of a page: values under the pointer, zoom, smoothing.

The charts are drawn in the browser by Chart.js, whose text comes from the
package chartkick: a maintained package without dependencies of its own, and a
file that needs no build. Compressed, it adds 0.22 MB to a page. The other
libraries that Python packages contain were measured in 2026: plotly has 4.8 MB,
bokeh 1.3 MB and no text for screen readers, vega-lite needs a compiler of
30 MB, and the package of uPlot (44 kB) is not maintained. Chart.js has axes,
hit tests and drawing; charts.js adds zoom, smoothing, keys and dark mode.
"""

import base64
import dataclasses
import gzip
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.report import html

# A longer curve keeps the extremes of equal parts of its range. Many curves of
# a chart have fewer points each, so that a page stays small.
MOST_POINTS, _MOST_IN_A_CHART, _LEAST_POINTS = 1000, 8000, 30
_DIGITS = 6  # of the numbers in a page
# Above this ratio of largest to smallest value the axis is logarithmic.
_LOGARITHMIC_FROM = 30.0
# From this number of series on, there are buttons for all of them.
_MANY_SERIES = 5
# Marks of series of the same colour, and the signs for them in a legend.
SHAPES = {
  "circle": "●",
  "triangle": "▲",
  "rect": "■",
  "rectRot": "◆",
  "cross": "+",
  "crossRot": "×",  # noqa: RUF001
  "star": "✳",
}
_COLOURS = 7  # number of --series-N colours in the stylesheet
_DASHES = ("solid", "dashed", "dotted")


@dataclasses.dataclass(frozen=True)
class Series:
  """A curve, a row of bars, or points of one kind.

  Attributes:
    name: in the legend and under the pointer. Series of one name are
      switched on and off together.
    x: (n,) float for each horizontal axis of its chart.
    y: (n,) float; NaN and infinity leave gaps.
    colour: name of a CSS custom property of the page, without dashes.
    dash: "solid", "dashed" or "dotted"; "none" for points without a line.
    shape: of points, one of `SHAPES`.
    rows: of points, the numbers of the examples that they stand for.
    texts: (n,) texts of the points under the pointer; () for the name.
    note: text after the name in the legend, such as the last value.
  """

  name: str
  x: Mapping[str, np.ndarray]
  y: np.ndarray
  colour: str
  dash: str = "solid"
  shape: str = "circle"
  rows: Sequence[int] = ()
  texts: Sequence[str] = ()
  note: str = ""


@dataclasses.dataclass(frozen=True)
class Chart:
  """A chart.

  Attributes:
    series: in drawing order, at least one.
    title: above the chart.
    axes: {name: label} of the horizontal axes; the first is shown at first.
    label: name and unit of the vertical axis.
    kind: "line", "bars" or "points".
    logarithm: "" without a logarithmic vertical axis, "offered", or "if wide",
      which begins with it if the values are positive and their range is wide.
    marks: places with a dotted vertical line, for each horizontal axis.
    bounds: of the axes "x" and "y"; those of the values without them.
    categories: {name: labels} of horizontal axes whose places are 0, 1, ...
    wide: names of the horizontal axes with a logarithmic scale.
  """

  series: Sequence[Series]
  title: str
  axes: Mapping[str, str]
  label: str
  kind: str = "line"
  logarithm: str = ""
  marks: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
  bounds: Mapping[str, Sequence[float]] = dataclasses.field(
    default_factory=dict
  )
  categories: Mapping[str, Sequence[str]] = dataclasses.field(
    default_factory=dict
  )
  wide: Sequence[str] = ()


def figure(chart: Chart) -> str:
  """The element of a chart, which `scripts` draws."""
  label = f"{chart.title}: {chart.label} by {', '.join(chart.axes.values())}"
  keys = "; arrow keys read values, plus and minus zoom, Escape resets"
  note = '<p class="soft">The chart needs JavaScript of 2023 or later.</p>'
  title = html.escape(chart.title)
  return (
    f'<figure class="chart" role="group" aria-label="{title}">'
    f'<div class="head"><h3>{title}</h3>'
    f"{_buttons(chart)}</div>"
    f'<div class="canvas" data-label="{html.escape(label + keys)}">{note}</div>'
    f'<div class="legend">{_legend(chart)}</div>'
    f'<script type="application/json">{_json(_spec(chart))}</script></figure>'
  )


def controls(axes: Mapping[str, str]) -> str:
  """The choice of the axis and the smoothing of all charts of a section."""
  options = "".join(
    f'<option value="{html.escape(name)}">{html.escape(label)}</option>'
    for name, label in axes.items()
  )
  return (
    '<form class="controls"><label>Horizontal axis '
    f'<select class="axis">{options}</select></label>'
    '<label>Smoothing <input class="smoothing" type="range" min="0" '
    'max="0.99" step="0.01" value="0"> <output>0</output></label>'
    '<span class="soft">Drag over a chart to zoom, double-click to reset. '
    "A click on a name hides its curve.</span></form>"
  )


def style(index: int) -> tuple[str, str]:
  """The colour and the dash of a curve among many."""
  dash = _DASHES[index // _COLOURS % len(_DASHES)]
  return f"series-{index % _COLOURS}", dash


def mark(index: int) -> tuple[str, str]:
  """The colour and the shape of the points of one kind among many."""
  shapes = list(SHAPES)
  shape = shapes[(index + index // _COLOURS) % len(shapes)]
  return f"series-{index % _COLOURS}", shape


def scripts() -> str:
  """The library and the code that draws the charts of a page."""
  packed = base64.b64encode(gzip.compress(_library(), mtime=0)).decode("ascii")
  return (
    "<!-- Chart.js, (c) Chart.js Contributors, MIT licence -->"
    f'<script type="text/plain" id="chart-library">{packed}</script>'
    f"<script>{script('charts.js')}</script>"
  )


def script(name: str) -> str:
  """The text of a script of this folder."""
  return (
    importlib.resources.files("jaxvision.report").joinpath(name).read_text()
  )


def _library() -> bytes:
  folder = importlib.resources.files("chartkick")
  return folder.joinpath(
    "django", "static", "chartkick", "Chart.bundle.js"
  ).read_bytes()


def _buttons(chart: Chart) -> str:
  start = " checked" * _starts_logarithmic(chart)
  logarithm = (
    f'<label><input type="checkbox" class="log"{start}> log</label>'
    if chart.logarithm
    else ""
  )
  return (
    f'<span class="buttons">{logarithm}'
    '<button type="button" class="reset" disabled>reset zoom</button></span>'
  )


def _legend(chart: Chart) -> str:
  if len(chart.series) == 1 and not chart.series[0].name:
    return ""
  named = {each.name: each for each in reversed(chart.series)}
  keys = "".join(
    '<button type="button" class="key" aria-pressed="true" '
    f'data-name="{html.escape(each.name)}">{_sign(chart.kind, each)}'
    f"{html.escape(f'{each.name} {each.note}'.strip())}</button>"
    for each in reversed(named.values())
  )
  if len(named) < _MANY_SERIES:
    return keys
  return (
    f'{keys}<button type="button" class="all">all</button>'
    '<button type="button" class="none">none</button>'
  )


def _sign(kind: str, series: Series) -> str:
  if kind == "points" or series.dash == "none":
    return (
      f'<span aria-hidden="true" style="color:var(--{series.colour})">'
      f"{SHAPES[series.shape]}</span> "
    )
  return (
    f'<i style="border-top-color:var(--{series.colour});'
    f'border-top-style:{series.dash}"></i>'
  )


def _spec(chart: Chart) -> dict[str, Any]:
  fair = _MOST_IN_A_CHART // len(chart.series)
  most = max(_LEAST_POINTS, min(MOST_POINTS, fair))
  return {
    "kind": chart.kind,
    "axes": dict(chart.axes),
    "label": chart.label,
    "log": _starts_logarithmic(chart),
    "bounds": {name: list(ends) for name, ends in chart.bounds.items()},
    "categories": {k: list(labels) for k, labels in chart.categories.items()},
    "wide": list(chart.wide),
    "marks": {
      name: _numbers(np.asarray(places, float))
      for name, places in chart.marks.items()
    },
    "series": [_one(each, chart.axes, most) for each in chart.series],
  }


def _one(series: Series, axes: Mapping[str, str], most: int) -> dict[str, Any]:
  # Points keep their examples and texts, of which there is a bounded number.
  is_bounded = len(series.rows) or len(series.texts)
  kept = np.arange(len(series.y)) if is_bounded else thinned(series.y, most)
  found = {
    "name": series.name,
    "colour": series.colour,
    "dash": series.dash,
    "shape": series.shape,
    "x": {name: _numbers(series.x[name][kept]) for name in axes},
    "y": _numbers(series.y[kept]),
  }
  if len(series.rows):
    found["rows"] = list(series.rows)
  if len(series.texts):
    found["texts"] = list(series.texts)
  return found


def thinned(values: np.ndarray, most: int) -> np.ndarray:
  """The indices of at most `most` values (n,), at least 4, with the extremes.

  Each of the equal parts of a long curve keeps its smallest and its largest
  value, and the curve its two ends.
  """
  count = len(values)
  if count <= most:
    return np.arange(count)
  kept = {0, count - 1}
  for part in np.array_split(np.arange(count), most // 2 - 1):
    known = part[np.isfinite(values[part])]
    if known.size:
      kept |= {known[values[known].argmin()], known[values[known].argmax()]}
    else:
      kept.add(part[0])
  return np.array(sorted(kept))


def _starts_logarithmic(chart: Chart) -> bool:
  values = np.concatenate([each.y for each in chart.series])
  values = values[np.isfinite(values)]
  if chart.logarithm != "if wide" or (values < 0).any():
    return False
  return is_wide(values[values > 0])


def is_wide(values: np.ndarray) -> bool:
  """Whether values (n,) are positive and ask for a logarithmic axis."""
  if not values.size or values.min() <= 0:
    return False
  return bool(values.max() > _LOGARITHMIC_FROM * values.min())


def _numbers(values: np.ndarray) -> list[float | int | None]:
  return list(map(_short, values.tolist()))


def _short(value: float) -> float | int | None:
  if not np.isfinite(value):
    return None
  if value == int(value):
    return int(value)
  return float(f"{value:.{_DIGITS}g}")


def _json(value: Any) -> str:
  # "<" could end the script element, or begin a comment in it.
  text = json.dumps(value, separators=(",", ":"), allow_nan=False)
  return text.replace("<", "\\u003c")
