"""The table and the figure of studies that count examples per class.

A study has ways to learn, and numbers of examples per class, its shots; 0 means
all examples. Its results are a list over the seeds of {shots: {way: accuracy}}.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

Results = Sequence[Mapping[int, Mapping[str, float]]]


def summarize(
  results: Results, ways: Sequence[str]
) -> Iterator[tuple[str, int, float, float]]:
  """Yields (way, shots, mean, half-width of its 95 % interval) over seeds.

  The interval is that of Student's t. A way may lack some numbers of shots.
  """
  for way in ways:
    for shots in results[0]:
      values = [each[shots][way] for each in results if way in each[shots]]
      if values:
        yield way, shots, float(np.mean(values)), half_width(values)


def half_width(values: Sequence[float]) -> float:
  """The half-width of the 95 % interval of a mean, by Student's t."""
  return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def table(results: Results, ways: Sequence[str]) -> str:
  """Returns a Markdown table of ways and shots, in percent."""
  cells = {
    (way, shots): f"{mean:.1%} ± {100 * half:.1f}"
    for way, shots, mean, half in summarize(results, ways)
  }
  shots = list(results[0])
  lines = [
    f"| examples per class | {' | '.join(str(n or 'all') for n in shots)} |",
    f"|---|{'---:|' * len(shots)}",
  ]
  for way in ways:
    row = " | ".join(cells.get((way, n), "-") for n in shots)
    lines.append(f"| {way} | {row} |")
  return "\n".join(lines)


def draw_figure(
  results: Results,
  styles: Mapping[str, Mapping[str, object]],
  path: pathlib.Path,
  *,
  title: str,
) -> None:
  """Draws accuracy over examples per class, with a line for each way.

  Args:
    results: of the study.
    styles: way -> options of matplotlib for its line.
    path: of the picture.
    title: of the vertical axis.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.4, 4.4), layout="constrained")
  axes = figure.add_subplot()
  shots = list(results[0])
  points = {}
  for way, n, mean, half in summarize(results, list(styles)):
    points.setdefault(way, []).append((shots.index(n), mean, half))
  for way, found in points.items():
    places, means, halves = np.array(found).T
    axes.errorbar(
      places,
      100 * means,
      100 * halves,
      label=way,
      marker="o",
      markersize=3,
      capsize=2,
      **styles[way],
    )
  axes.set_xticks(range(len(shots)), [str(n or "all") for n in shots])
  axes.set_xlabel("examples per class")
  axes.set_ylabel(title)
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8)
  figure.savefig(path, dpi=110)
