"""The tables, the verdict and the figures of compound_scaling.py.

The networks of the comparison are named by the member of the family and what is
scaled to its multiply-accumulates: "phi 1: compound", "phi 1: depth". The base
network is "phi 0: base".
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import shots
from matplotlib.figure import Figure

from jaxvision.sweeps.search import compound_scaling

COMPOUND = "compound"
EQUAL = 0.15  # largest relative difference of costs that count as equal
DIMENSIONS = tuple(compound_scaling.DIMENSIONS)


@dataclasses.dataclass(frozen=True)
class Row:
  """A network of a sweep.

  Attributes:
    label: its name in the plan.
    scaling: its factors.
    macs: multiply-accumulates of one image.
    validation, test: (seeds,) accuracies in [0, 1], in the order of the seeds.
  """

  label: str
  scaling: compound_scaling.Scaling
  macs: int
  validation: np.ndarray
  test: np.ndarray


def objective(row: Row, *, target: float) -> float:
  """The objective of the paper of the mean validation accuracy."""
  return compound_scaling.objective(
    float(row.validation.mean()), macs=row.macs, target=target
  )


def best(of: Sequence[Row], *, target: float) -> Row:
  """Returns the network of the largest objective, the cheapest if equal."""
  return max(of, key=lambda row: (objective(row, target=target), -row.macs))


def grid_table(of: Sequence[Row], *, target: float) -> str:
  """Returns a Markdown table of the grid, the best network first."""
  lines = [
    "| depth | width | resolution | MMACs | validation | objective |",
    "|---:|---:|---:|---:|---:|---:|",
  ]
  for row in sorted(of, key=lambda each: -objective(each, target=target)):
    factors = " | ".join(f"{n:g}" for n in dataclasses.astuple(row.scaling))
    lines.append(
      f"| {factors} | {row.macs / 1e6:.2f} | {row.validation.mean():.2%} "
      f"| {objective(row, target=target):.4f} |"
    )
  return "\n".join(lines)


def table(of: Sequence[Row]) -> str:
  """Returns a Markdown table of the comparison.

  Differences are those of compound scaling from runs of the same seed, in
  points of test accuracy.
  """
  lines = [
    "| network | factors | MMACs | test | compound ahead by |",
    "|---|---|---:|---:|---:|",
  ]
  for row in of:
    ahead = ""
    if _scaled(row) in DIMENSIONS:
      values = 100 * (_compound(of, row).test - row.test)
      ahead = f"{values.mean():+.2f} ± {shots.half_width(values):.2f}"
      if not _is_equal(_compound(of, row), row):
        ahead += " (other cost)"
    lines.append(
      f"| {row.label} | {row.scaling} | {row.macs / 1e6:.2f} "
      f"| {row.test.mean():.2%} ± {100 * shots.half_width(row.test):.2f} "
      f"| {ahead} |"
    )
  return "\n".join(lines)


def judge(of: Sequence[Row]) -> dict[str, str]:
  """Returns {member: verdict} by the rule of compound_scaling.py."""
  verdicts = {}
  for compound in of:
    if _scaled(compound) != COMPOUND:
      continue
    signs = {
      _scaled(row): _sign(compound.test - row.test)
      for row in of
      if _member(row) == _member(compound)
      and row is not compound
      and _is_equal(compound, row)
    }
    verdicts[_member(compound)] = _verdict(signs)
  return verdicts


def _verdict(signs: Mapping[str, int]) -> str:
  if behind := [name for name, sign in signs.items() if sign < 0]:
    return f"reversed: behind {', '.join(behind)}"
  if missing := [name for name in DIMENSIONS if name not in signs]:
    return f"not comparable: no {', '.join(missing)} of equal cost"
  if unclear := [name for name, sign in signs.items() if not sign]:
    return f"not shown: no difference from {', '.join(unclear)}"
  return "holds"


def _sign(differences: np.ndarray) -> int:
  """1 or -1 if the mean is beyond the half-width of its interval, else 0."""
  mean = float(differences.mean())
  return int(np.sign(mean)) * (abs(mean) > shots.half_width(differences))


def _member(row: Row) -> str:
  return row.label.partition(": ")[0]


def _scaled(row: Row) -> str:
  return row.label.partition(": ")[2]


def _compound(of: Sequence[Row], row: Row) -> Row:
  wanted = f"{_member(row)}: {COMPOUND}"
  return next(each for each in of if each.label == wanted)


def _is_equal(compound: Row, row: Row) -> bool:
  return abs(row.macs / compound.macs - 1) <= EQUAL


def draw_singles(of: Sequence[Row]) -> Figure:
  """Draws accuracy by cost for each dimension alone, as figure 3 of the paper.

  The labels of the points are the factors.
  """
  figure = Figure(figsize=(11, 3.6), layout="constrained")
  panels = figure.subplots(1, len(DIMENSIONS), sharey=True)
  for axes, name in zip(panels, DIMENSIONS, strict=True):
    rows = _line(of, name)
    _draw_line(axes, rows, color="C0")
    for row in rows:
      factor = getattr(row.scaling, name)
      place = (row.macs / 1e6, 100 * row.test.mean())
      axes.annotate(
        f"{name[0]} = {factor:g}",
        place,
        textcoords="offset points",
        xytext=(4, -12),
        fontsize=8,
      )
    axes.set(title=name, xlabel="million multiply-accumulates")
    axes.grid(alpha=0.3)
  panels[0].set_ylabel("test accuracy, %")
  return figure


def draw_comparison(of: Sequence[Row]) -> Figure:
  """Draws a line for each way to scale, as figure 8 of the paper."""
  figure = Figure(figsize=(6.4, 4.4), layout="constrained")
  axes = figure.add_subplot()
  for place, name in enumerate((*DIMENSIONS, COMPOUND)):
    _draw_line(axes, _line(of, name), color=f"C{place}", label=name)
  axes.set(xlabel="million multiply-accumulates", ylabel="test accuracy, %")
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8)
  return figure


def _line(of: Sequence[Row], name: str) -> list[Row]:
  """The base network, and the networks that are scaled in one way, by cost."""
  rows = [row for row in of if _scaled(row) in ("base", name)]
  return sorted(rows, key=lambda row: row.macs)


def _draw_line(axes, rows: Sequence[Row], **style) -> None:
  axes.errorbar(
    [row.macs / 1e6 for row in rows],
    [100 * row.test.mean() for row in rows],
    [100 * shots.half_width(row.test) for row in rows],
    marker="o",
    markersize=3,
    capsize=2,
    **style,
  )
