"""Are searched cells better than a hand-made cell of the same cost?

  jaxvision data prepare mnist --source=package/data     # see docs/data.md
  jaxvision search experiments/cells.py --workdir runs/cells --vectorize 10
  python experiments/cells.py runs/cells                 # table and verdicts

The cells are those of NAS-Bench-201 (Dong and Yang 2020), and each child is
trained: a network with two cells, of 8 and 16 channels, sees 1,000 digits of
14x14 pixels (means of 2x2 pixels of MNIST) five times. Three searchers propose
200 children each, with three seeds of the search. Children are compared on
2,000 training images that no network is trained on.

The final stage trains the best child of each searcher at full size: two cells
in each of three stages, 16 channels, 10,000 digits, 5 epochs, batches of 50,
five seeds. For each winner it also trains the residual cell of NAS-Bench-201,
which is made by hand, with the number of channels whose multiply-accumulates
are nearest to those of the winner.

How to read the answer: a winner and its residual cell have the same seeds, so
the same order of images. The verdict on a winner is

  better          the 95 % interval (Student's t) of the paired difference of
                  test accuracies is above 0
  worse           it is below 0
  no difference   otherwise
  not comparable  the costs differ by more than 15 %

A searcher is ahead of random search if the best child of its searches has a
larger mean validation accuracy than that of random search, with p < 0.05
(Welch's test, corrected by Holm); three seeds show large differences only. This
rule was written down before the runs.
"""

import argparse
import bisect
import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvision import sweep

QUESTION = "Are searched cells better than a hand-made cell of the same cost?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "mnist.py:convnet")
OVERRIDES = {
  "model.name": "nasbench201",
  "model.options": {
    "cells": 1,
    "channels": 8,
    "stages": 2,
    # One compiled program trains ten children at once.
    "operations": "switched",
  },
  "loss.options": {"label_smoothing": 0.0},
  "data.train": "train[:1000]",
  "data.validation": "train[55000:57000]",
  "data.test": "",
  "data.num_classes": 10,
  "data.train_transforms": ("resize(14, method='area')",),
  "data.eval_transforms": ("resize(14, method='area')",),
  "data.device_transforms": ("random_crop(padding=1)",),
  "optimizer.learning_rate": 0.01,
  "ema.decay": 0.0,
  "train.batch_size": 50,
  "train.duration": "5 epochs",
  "evaluate.every": "100 percent",
  "evaluate.explain": "",
  "checkpoint.every": "100 percent",
  "checkpoint.best": "",
  "log.tensorboard": False,
}
SPACE = {"model.options.arch": sweep.cells("nasbench201")}
OBJECTIVE = sweep.maximize("validation/top1")
READ = (
  "A winner is better than the hand-made cell if the interval of the paired "
  "difference of their test accuracies is above 0: `python "
  "experiments/cells.py FOLDER` prints the verdicts."
)
SEARCHERS = ("controller", "evolution", "random")
SEARCH_SEEDS = 3
CHILDREN = 200
_FULL = {"cells": 2, "channels": 16, "stages": 3}
FINAL_OVERRIDES = {
  "model.options.operations": "static",
  **{f"model.options.{name}": value for name, value in _FULL.items()},
  "data.train": "train[:10000]",
  "data.validation": "train[55000:]",
  "data.test": "test",
  "train.duration": "5 epochs",
}
FINAL_SEEDS = 5

EQUAL = 0.15  # largest relative difference of costs that count as equal
_SIZE, _CHANNELS = 14, range(2, 65)
_HAND_MADE = "residual cell"


def final(ended: Sequence[sweep.Ended]) -> dict[str, dict[str, Any]]:
  """The best child of each searcher, and a hand-made cell of each cost."""
  networks: dict[str, dict[str, Any]] = {}
  for child in sweep.ranked_children(ended, sign=1):
    networks.setdefault(child.searcher, dict(child.overrides))
  for winner in list(networks.values()):
    channels = equal_channels(winner["model.options.arch"])
    networks[f"{_HAND_MADE}, {channels} channels"] = {
      "model.options.arch": _residual_cell(),
      "model.options.channels": channels,
    }
  return networks


def equal_channels(arch: str) -> int:
  """Channels of the residual cell whose cost is nearest to that of a cell."""
  target = count_macs(arch, _FULL["channels"])
  cost = functools.partial(count_macs, _residual_cell())
  place = bisect.bisect_left(_CHANNELS, target, key=cost)
  near = _CHANNELS[max(place - 1, 0) : place + 1] or _CHANNELS[-1:]
  return min(near, key=lambda channels: abs(cost(channels) - target))


@functools.cache
def count_macs(arch: str, channels: int) -> int:
  """Multiply-accumulates of a network of the final stage for one image."""
  from jaxvision import models, summary

  options = {**_FULL, "arch": arch, "channels": channels}
  model = models.create("nasbench201", num_classes=10, **options)
  flops = summary.flops_per_image(model, image_shape=(_SIZE, _SIZE, 1))
  return round(flops / 2)


def _residual_cell() -> str:
  from jaxvision.models import nasbench201

  return nasbench201.RESNET


def read_accuracies(workdir: pathlib.Path) -> dict[str, dict[int, float]]:
  """Returns {network: {seed: test accuracy}} of the final stage.

  Raises:
    ValueError: a run of the final stage is not complete.
  """
  from jaxvision.runs import sweep_folder

  found: dict[str, dict[int, float]] = {}
  sweep_found = sweep_folder.read_sweep(workdir / "final")
  if len(sweep_found.trials) < sweep_found.definition["trials"]:
    raise ValueError(f"{workdir}: not all runs have started; run the command")
  for trial in sweep_found.trials:
    if trial.state != "complete":
      raise ValueError(
        f"{workdir}/final: trial {trial.number} is {trial.state}; finish the "
        "search first"
      )
    seeds = found.setdefault(trial.settings["network"], {})
    seeds[trial.settings["seed"]] = trial.run.result["final"]["metrics"]["top1"]
  return found


@dataclasses.dataclass(frozen=True)
class Winner:
  """The best cell of a searcher beside the residual cell of its cost.

  Attributes:
    label: of the winner.
    rival: of the residual cell.
    costs: multiply-accumulates of the winner and of the residual cell.
    mean, half: of the paired differences of test accuracies in points, and the
      half-width of its 95 % interval.
  """

  label: str
  rival: str
  costs: tuple[int, int]
  mean: float
  half: float

  @property
  def verdict(self) -> str:
    """The verdict by the rule above."""
    return judge(self.mean, self.half, self.costs)


def compare_winners(
  accuracies: Mapping[str, Mapping[int, float]],
  networks: Mapping[str, Mapping[str, Any]],
) -> list[Winner]:
  """Compares each winner with its residual cell.

  Args:
    accuracies: as from `read_accuracies`.
    networks: {network: its config values}.
  """
  from jaxvision.report import interval

  found = []
  for label, values in networks.items():
    if label.startswith(_HAND_MADE):
      continue
    arch = values["model.options.arch"]
    channels = equal_channels(arch)
    rival = f"{_HAND_MADE}, {channels} channels"
    differences = np.array(
      [
        100 * (accuracy - accuracies[rival][seed])
        for seed, accuracy in accuracies[label].items()
      ]
    )
    costs = (
      count_macs(arch, _FULL["channels"]),
      count_macs(_residual_cell(), channels),
    )
    mean, half = float(differences.mean()), interval(differences)
    found.append(Winner(label, rival, costs, mean, half))
  return found


def table(
  accuracies: Mapping[str, Mapping[int, float]],
  networks: Mapping[str, Mapping[str, Any]],
) -> str:
  """Returns a Markdown table of the winners, with their verdicts.

  Args:
    accuracies, networks: as in `compare_winners`.
  """
  lines = [
    "| winner | MMACs | test | residual cell | MMACs | difference, points | "
    "verdict |",
    "|---|---:|---:|---:|---:|---:|---|",
  ]
  for each in compare_winners(accuracies, networks):
    own, others = (cost / 1e6 for cost in each.costs)
    lines.append(
      f"| {each.label} | {own:.2f} | {_mean(accuracies[each.label])} "
      f"| {_mean(accuracies[each.rival])} | {others:.2f} "
      f"| {each.mean:+.2f} ± {each.half:.2f} | {each.verdict} |"
    )
  return "\n".join(lines)


def judge(mean: float, half: float, costs: tuple[int, int]) -> str:
  """Returns the verdict by the rule above.

  Args:
    mean, half: of the paired differences, and the half-width of its interval.
    costs: multiply-accumulates of the winner and of the hand-made cell.
  """
  if abs(costs[1] / costs[0] - 1) > EQUAL:
    return "not comparable"
  if not abs(mean) > half:
    return "no difference"
  return "better" if mean > 0 else "worse"


def compare_searchers(best: Mapping[str, Sequence[float]]) -> dict[str, str]:
  """Returns {searcher: verdict} against random search.

  Args:
    best: {searcher: validation accuracy of the best child of each search}.
  """
  from scipy import stats

  from jaxvision.report import significance

  others = [name for name in best if name != "random"]
  if min(map(len, best.values())) < 2:
    return dict.fromkeys(others, "one search each: not judged")
  values = [
    float(stats.ttest_ind(best[n], best["random"], equal_var=False).pvalue)
    for n in others
  ]
  verdicts = {}
  for name, p in zip(others, significance.holm(values), strict=True):
    ahead = np.mean(best[name]) - np.mean(best["random"])
    word = ("ahead" if ahead > 0 else "behind") if p < 0.05 else "no difference"
    verdicts[name] = f"{100 * ahead:+.2f} points (p = {p:.2g}): {word}"
  return verdicts


def read_best(workdir: pathlib.Path) -> dict[str, list[float]]:
  """Returns {searcher: value of the best child of each search}."""
  from jaxvision.runs import search_folder

  found: dict[str, list[float]] = {}
  for part in search_folder.read_search(workdir).parts:
    values = [
      child.value
      for child in search_folder.children(part.sweep)
      if child.value is not None
    ]
    found.setdefault(part.searcher, []).append(max(values))
  return found


def _mean(accuracies: Mapping[int, float]) -> str:
  from jaxvision.report import interval

  values = 100 * np.array(list(accuracies.values()))
  return f"{values.mean():.2f} % ± {interval(values):.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
  """Prints the table and the verdicts of a finished search."""
  from jaxvision.runs import search_folder

  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("workdir", type=pathlib.Path, help="of the search")
  workdir = parser.parse_args(arguments).workdir
  networks = {
    label: each["overrides"]
    for label, each in search_folder.read_networks(workdir).items()
  }
  print(table(read_accuracies(workdir), networks))
  for name, verdict in compare_searchers(read_best(workdir)).items():
    print(f"{name} against random search: {verdict}")


if __name__ == "__main__":
  main()
