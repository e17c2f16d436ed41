"""Which optimizer, each at its own best learning rate?

  jaxvision sweep experiments/optimizers.py --workdir runs/optimizers \
    --vectorize 35
  python experiments/optimizers.py runs/optimizers        # table and picture

The mlp of configs/digits.py is trained on half of the training split for 400
steps, without moving average. The other half is added to the validation and
test splits. Learning rates are half a decade apart. The other options of an
optimizer are the defaults of optax. adamw, lion and muon have the weight decay
of the recipe, which is multiplied by the learning rate. lion has ten times
smaller rates and ten times more decay (Chen et al. 2023, section 5). The others
have no decay.

35 is seven rates with five seeds each. The trials of one optimizer share a
program. Trials of different optimizers do not.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxvision import report, sweeps
from jaxvision.runs import sweep_folder

QUESTION = "Which optimizer, each at its own best learning rate?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "digits.py:mlp")
OVERRIDES = {
  "data.train": "train[:50%]",
  "data.validation": "validation+train[50%:70%]",
  "data.test": "test+train[70%:]",
  "ema.decay": 0.0,
  "train.duration": "400 steps",
  "evaluate.every": "10 percent",
  "checkpoint.every": "100 percent",
  "checkpoint.best": "",
  "log.every": "10 percent",
}
_DECAYS = {"adamw": 0.05, "lion": 0.5, "muon": 0.05}
# Name -> optimizer, options, logarithm to base 10 of the lowest rate.
_OPTIMIZERS = {
  "sgd": ("sgd", {}, -2),
  "momentum": ("sgd", {"momentum": 0.9}, -3),
  "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}, -3),
  "adagrad": ("adagrad", {}, -3),
  "rmsprop": ("rmsprop", {}, -4.5),
  "adam": ("adam", {}, -4),
  "adamw": ("adamw", {}, -4),
  "lion": ("lion", {}, -5),
  "muon": ("muon", {}, -3.5),
}
_RATES = 7
_RATE = "optimizer.learning_rate"


def _space(name: str) -> dict[str, Any]:
  optimizer, options, least = _OPTIMIZERS[name]
  rates = (float(f"{10 ** (least + i / 2):.2g}") for i in range(_RATES))
  return {
    "optimizer.name": optimizer,
    "optimizer.options": options,
    "optimizer.weight_decay": _DECAYS.get(name, 0.0),
    _RATE: sweeps.grid(*rates),
  }


SPACE = {
  "optimizer": sweeps.grid({name: _space(name) for name in _OPTIMIZERS}),
  "seed": sweeps.seeds(5),
}
OBJECTIVE = sweeps.maximize("validation/top1")
READ = (
  "Each optimizer has the rate with the best mean validation accuracy over the "
  "seeds. Compare the test accuracies, which were not used for this selection. "
  "If the intervals of two optimizers overlap widely, this data set shows no "
  "difference."
)


@dataclasses.dataclass(frozen=True)
class Row:
  """An optimizer at one rate.

  Attributes:
    name: the optimizer.
    rate: its learning rate.
    validation, test: (seeds,) accuracies in [0, 1] after the last step.
  """

  name: str
  rate: float
  validation: np.ndarray
  test: np.ndarray


def rows(workdir: pathlib.Path) -> list[Row]:
  """Returns all settings of a sweep, in the order of the space.

  A trial that diverged counts as chance, 0.1, in both splits.
  """
  found: dict[tuple[str, float], list[sweep_folder.Trial]] = {}
  for trial in sweep_folder.read_sweep(workdir).trials:
    place = trial.settings["optimizer"], trial.settings[_RATE]
    found.setdefault(place, []).append(trial)
  return [
    Row(
      name,
      rate,
      *np.transpose([_accuracies(trial) for trial in trials]),
    )
    for (name, rate), trials in found.items()
  ]


def _accuracies(trial: sweep_folder.Trial) -> tuple[float, float]:
  if trial.state != "complete":
    return 0.1, 0.1
  return trial.value, trial.run.result["final"]["metrics"]["top1"]


def best(of: Sequence[Row]) -> dict[str, Row]:
  """Returns each optimizer at its rate of the best validation accuracy."""
  chosen: dict[str, Row] = {}
  for row in of:
    before = chosen.get(row.name)
    if before is None or row.validation.mean() > before.validation.mean():
      chosen[row.name] = row
  return chosen


def table(of: Sequence[Row]) -> str:
  """Returns a Markdown table of each best rate, the best optimizer first.

  Differences are between runs with the same seed, in points.
  """
  ranked = sorted(best(of).values(), key=lambda each: -each.test.mean())
  lines = [
    "| optimizer | rate | validation | test | behind the first "
    "| rates within 1 point |",
    "|---|---:|---:|---:|---:|---:|",
  ]
  for row in ranked:
    behind = 100 * (ranked[0].test - row.test)
    difference = f"{behind.mean():.2f} ± {report.interval(behind):.2f}"
    near = [
      each.rate
      for each in of
      if each.name == row.name
      and each.validation.mean() > row.validation.mean() - 0.01
    ]
    lines.append(
      f"| {row.name} | {row.rate:g} | {row.validation.mean():.2%} "
      f"| {_with_interval(row.test)} "
      f"| {'' if row is ranked[0] else difference} "
      f"| {min(near):g} to {max(near):g} |"
    )
  return "\n".join(lines)


def _with_interval(values: np.ndarray) -> str:
  return f"{values.mean():.2%} ± {report.interval(values):.2%}"


def draw(of: Sequence[Row], path: pathlib.Path) -> None:
  """Draws test error by learning rate, with a line for each optimizer."""
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(figsize=(8, 4.5))
  for place, (name, chosen) in enumerate(best(of).items()):
    own = [row for row in of if row.name == name]
    errors = [100 * (1 - row.test.mean()) for row in own]
    color = f"C{place}"
    axes.plot([row.rate for row in own], errors, ".-", color=color, label=name)
    error = 100 * (1 - chosen.test.mean())
    axes.plot(chosen.rate, error, "o", color=color, markersize=9)
  axes.set(
    xscale="log",
    yscale="log",
    xlabel="learning rate",
    ylabel="test error, %",
    title="Large: the rate chosen by the validation split",
  )
  axes.grid(alpha=0.3, which="both")
  axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
  figure.savefig(path, dpi=80, bbox_inches="tight")
  pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
  """Prints the table of a finished sweep and draws its picture."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("workdir", type=pathlib.Path, help="sweep folder")
  options = parser.parse_args(arguments)
  found = rows(options.workdir)
  print(table(found))
  path = options.workdir / "optimizers.png"
  draw(found, path)
  print(f"picture: {path.absolute()}")


if __name__ == "__main__":
  main()
