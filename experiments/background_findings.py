"""The findings, the tables and the figure of the study of backgrounds.

The results of a seed are {network: {training set: {metric: value}}}. The
metrics are those of the suites "backgrounds" and "backgrounds_challenge";
Only-BG-T takes no challenge. The rule of the verdicts is in backgrounds.py.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import shots
from matplotlib.figure import Figure

PRETRAINED, SCRATCH = NETWORKS = ("fine-tuned", "scratch")
TITLES = {
  "original": "Original",
  "only_bg_b": "Only-BG-B",
  "only_bg_t": "Only-BG-T",
  "no_fg": "No-FG",
  "only_fg": "Only-FG",
  "mixed_same": "Mixed-Same",
  "mixed_rand": "Mixed-Rand",
  "mixed_next": "Mixed-Next",
}
TRAINED_ON = ("original", "mixed_same", "mixed_rand", "only_bg_t", "only_fg")
SUITE, CHALLENGE = "backgrounds", "backgrounds_challenge"
# Column of the table -> metric.
COLUMNS = {
  **{title: f"{SUITE}/{name}" for name, title in TITLES.items()},
  "gap": f"{SUITE}/bg_gap",
  "challenge": f"{CHALLENGE}/accuracy",
  "attacked": f"{CHALLENGE}/attacked",
}
# Finding -> number of the paper in points, of ResNet-50.
PAPER = {
  "gap": 73.80 - 53.58,  # Table 5, as the next two
  "closed": (73.80 - 53.58) - (71.33 - 71.53),
  "background": 50.25 - 100 / 9,
  "fooled": 75.6 - 12.0,  # of the network trained on ImageNet-9L
  "ImageNet": 14.3 - 6.0,  # Table 2: trained on ImageNet-9L, on ImageNet
}
# network -> training set -> metric -> value
Results = Mapping[str, Mapping[str, Mapping[str, float]]]


def findings(results: Sequence[Results], *, largest: float) -> dict[str, list]:
  """Returns the numbers of the findings, seed by seed, in points.

  Args:
    results: of the seeds.
    largest: the share of the largest class in the tests.
  """
  gap, rand = COLUMNS["gap"], COLUMNS["Mixed-Rand"]
  found = {}
  for name in NETWORKS:
    runs = [each[name] for each in results]
    numbers = {
      "gap": [r["original"][gap] for r in runs],
      "closed": [r["original"][gap] - r["mixed_rand"][gap] for r in runs],
      "background": [
        r["only_bg_t"][COLUMNS["Only-BG-T"]] - largest for r in runs
      ],
      "fooled": [
        r["original"][rand] - r["original"][COLUMNS["challenge"]] for r in runs
      ],
    }
    found |= {f"{key}, {name}": each for key, each in numbers.items()}
  first, second = found[f"gap, {PRETRAINED}"], found[f"gap, {SCRATCH}"]
  found["ImageNet"] = [b - a for a, b in zip(first, second, strict=True)]
  return {key: [100 * each for each in found[key]] for key in found}


def judge(results: Sequence[Results], *, largest: float) -> str:
  """Returns the table of the findings and their verdicts."""
  lines = ["| finding | points | paper | verdict |", "|---|---:|---:|---|"]
  for name, values in findings(results, largest=largest).items():
    mean, half = float(np.mean(values)), shots.half_width(values)
    verdict = "not shown"
    if abs(mean) > half:
      verdict = "holds" if mean > 0 else "reversed"
    paper = PAPER[name.partition(",")[0]]
    lines.append(
      f"| {name} | {mean:+.1f} ± {half:.1f} | {paper:+.1f} | {verdict} |"
    )
  return "\n".join(lines)


def table(results: Sequence[Results], network: str) -> str:
  """Returns the table of a network: training sets and tests, in percent."""
  lines = [
    f"| {network}, trained on | {' | '.join(COLUMNS)} |",
    f"|---|{'---:|' * len(COLUMNS)}",
  ]
  for variant in TRAINED_ON:
    cells = []
    for metric in COLUMNS.values():
      runs = [each[network][variant] for each in results]
      values = [100 * each[metric] for each in runs if metric in each]
      cells.append(
        f"{np.mean(values):.1f} ± {shots.half_width(values):.1f}"
        if values
        else "-"
      )
    lines.append(f"| {TITLES[variant]} | {' | '.join(cells)} |")
  return "\n".join(lines)


def draw(results: Sequence[Results], *, largest: float) -> Figure:
  """Draws the accuracy on each variant, a panel for each network.

  Args:
    results: of the seeds.
    largest: the share of the largest class, a dotted line.
  """
  figure = Figure(figsize=(10, 4.4), layout="constrained")
  panels = figure.subplots(1, len(NETWORKS), sharey=True)
  for axes, network in zip(panels, NETWORKS, strict=True):
    for variant in TRAINED_ON:
      values = 100 * np.array(
        [
          [each[network][variant][COLUMNS[title]] for each in results]
          for title in TITLES.values()
        ]
      )
      axes.errorbar(
        range(len(TITLES)),
        values.mean(axis=1),
        [shots.half_width(each) for each in values],
        label=TITLES[variant],
        marker="o",
        markersize=3,
        linewidth=1,
        capsize=2,
      )
    axes.axhline(100 * largest, color="grey", linestyle=":")
    axes.set_title(network)
    axes.set_xticks(range(len(TITLES)), TITLES.values(), rotation=45)
    axes.grid(alpha=0.3)
  panels[0].set_ylabel("accuracy on unseen photographs (%)")
  lines, labels = panels[0].get_legend_handles_labels()
  figure.legend(lines, labels, title="trained on", loc="outside right upper")
  return figure
