"""Charts of a search: its progress, and proxy values against final ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision.report import figures
from jaxvision.report.search_progress import Progress

COLOURS = 7  # number of --series-N colours in the stylesheet
_SIZE = (4.6, 3.2)  # inches


def draw_progress(lines: Mapping[str, Progress], *, label: str) -> str:
  """Draws mean and interval of each searcher over the number of children.

  Args:
    lines: {searcher: progress}.
    label: name of the values, different for each chart of a page.

  Returns:
    An `<svg>` element; "" if nothing is known.
  """
  from matplotlib.figure import Figure

  if not any(np.isfinite(each.mean).any() for each in lines.values()):
    return ""
  colours = _colours(len(lines))
  figure = Figure(figsize=_SIZE, layout="constrained")
  axes = figure.add_subplot()
  for place, each in enumerate(lines.values()):
    numbers = np.arange(1, len(each.mean) + 1)
    colour = colours[f"series-{place % COLOURS}"]
    marker = "o" if np.isfinite(each.mean).sum() < 3 else None
    axes.plot(numbers, each.mean, color=colour, lw=1.5, marker=marker, ms=3)
    axes.fill_between(
      numbers,
      each.mean - each.half,
      each.mean + each.half,
      color=colour,
      alpha=0.15,
      lw=0,
    )
  _decorate(axes, colours, x="number of children", y=label)
  return figures.svg(figure, colours, salt=label)


def draw_scatter(
  proxies: Sequence[float],
  means: Sequence[float],
  halves: Sequence[float],
  *,
  labels: Sequence[str],
  metric: str,
) -> str:
  """Draws the final value of each network over its value as a child.

  Args:
    proxies, means, halves: (n,) values of the children; means of the final
      stage and half-widths of their intervals, NaN for one seed.
    labels: (n,) names of the networks.
    metric: name of the values.

  Returns:
    An `<svg>` element.
  """
  from matplotlib.figure import Figure

  colours = _colours(1)
  figure = Figure(figsize=_SIZE, layout="constrained")
  axes = figure.add_subplot()
  axes.errorbar(
    proxies,
    means,
    np.nan_to_num(halves),
    fmt="o",
    ms=3.5,
    lw=1,
    capsize=2,
    color=colours["series-0"],
  )
  for label, x, y in zip(labels, proxies, means, strict=True):
    axes.annotate(
      label,
      (x, y),
      textcoords="offset points",
      xytext=(4, 4),
      fontsize=7,
      color=colours["ink"],
    )
  _decorate(
    axes,
    colours,
    x=f"{metric} of the child",
    y=f"{metric} of the final stage",
  )
  return figures.svg(figure, colours, salt="proxy")


def _colours(count: int) -> dict[str, str]:
  names = ["ink", "grid", *(f"series-{i}" for i in range(min(count, COLOURS)))]
  return {name: f"#01{index:04x}" for index, name in enumerate(names)}


def _decorate(axes: Any, colours: Mapping[str, str], *, x: str, y: str) -> None:
  axes.set_xlabel(x)
  axes.set_ylabel(y)
  axes.grid(axis="y", color=colours["grid"], linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[["top", "right"]].set_visible(False)
  figures.colour_frame(axes, colours)
