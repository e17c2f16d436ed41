"""Does the best learning rate grow with the batch size, and how far?

  jaxvision sweep experiments/learning_rate_vs_batch.py \
    --workdir runs/learning_rate_vs_batch --vectorize 60
  python experiments/learning_rate_vs_batch.py runs/learning_rate_vs_batch

The linear scaling rule: with a batch k times larger, multiply the learning rate
by k (Krizhevsky 2014; Goyal et al. 2017, section 2.1). The mlp of
configs/digits.py with 128 hidden units sees 1,024 digits 32 times at every
batch size, from 4,096 steps of 8 digits to 32 steps of all of them. It is
trained by SGD without momentum, because the rule is derived for this optimizer.
It has Goyal's warm-up of five epochs and a cosine. It has no moving average,
weight decay or label smoothing.

60 is twelve rates with five seeds each. Trials of one batch size share a
program. Trials of different batch sizes do not.
"""

import argparse
import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxvision import report, sweeps
from jaxvision.runs import sweep_folder

QUESTION = "Does the best learning rate grow with the batch size?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "digits.py:mlp")
OVERRIDES = {
  "model.options.hidden": (128, 128),
  "data.train": "train[:1024]",
  "data.validation": "validation+train[1024:]",
  "loss.options.label_smoothing": 0.0,
  "optimizer.name": "sgd",
  "optimizer.weight_decay": 0.0,
  "schedule.warmup": "5 epochs",
  "ema.decay": 0.0,
  "train.duration": "32 epochs",
  "evaluate.every": "25 percent",
  "evaluate.batch_size": 256,
  "checkpoint.every": "100 percent",
  "checkpoint.best": "",
  "log.every": "25 percent",
}
_BATCH, _RATE = "train.batch_size", "optimizer.learning_rate"
SPACE = {
  _BATCH: sweeps.grid(8, 16, 32, 64, 128, 256, 512, 1024),
  _RATE: sweeps.grid(*(2.0**power for power in range(-7, 5))),
  "seed": sweeps.seeds(5),
}
OBJECTIVE = sweeps.minimize("validation/loss")
READ = (
  "The rule holds for batch sizes whose best rates are on a line of slope one "
  "in the logarithms, if the predicted rate has the same test accuracy as the "
  "best rate. It breaks where this line leaves the rates at which training is "
  "stable."
)
_NEAR = 1.1  # a rate is as good as the best up to this factor of the loss
_FROM = 32  # the rules start from the best rate of this batch size


@dataclasses.dataclass(frozen=True)
class Row:
  """One batch size at one rate.

  Attributes:
    batch, rate: batch size and learning rate.
    loss: (seeds,) of the validation split after the last step; inf where the
      training diverged.
    test: (seeds,) accuracy in [0, 1]; 0.1, chance, where it diverged.
  """

  batch: int
  rate: float
  loss: np.ndarray
  test: np.ndarray


def rows(workdir: pathlib.Path) -> list[Row]:
  """Returns all settings of a sweep, in the order of the space."""
  found: dict[tuple[int, float], list[sweep_folder.Trial]] = {}
  for trial in sweep_folder.read_sweep(workdir).trials:
    place = trial.settings[_BATCH], trial.settings[_RATE]
    found.setdefault(place, []).append(trial)
  return [
    Row(batch, rate, *np.transpose([_measured(trial) for trial in trials]))
    for (batch, rate), trials in found.items()
  ]


def _measured(trial: sweep_folder.Trial) -> tuple[float, float]:
  if trial.state != "complete":
    return math.inf, 0.1
  return trial.value, trial.run.result["final"]["metrics"]["top1"]


def best(of: Sequence[Row]) -> dict[int, Row]:
  """Returns each batch size at its rate of the least mean validation loss."""
  sizes = dict.fromkeys(row.batch for row in of)
  return {
    size: min(
      (row for row in of if row.batch == size), key=lambda row: row.loss.mean()
    )
    for size in sizes
  }


def near(of: Sequence[Row], size: int) -> list[float]:
  """Returns the rates of a batch size within 10 % of its lowest loss."""
  least = best(of)[size].loss.mean()
  return [
    row.rate
    for row in of
    if row.batch == size and row.loss.mean() <= _NEAR * least
  ]


def table(of: Sequence[Row]) -> str:
  """Returns a Markdown table of the best and the predicted rates by size."""
  chosen = best(of)
  start = chosen[_FROM].rate
  lines = [
    f"| batch size | best rate | as good to 10 % | test, best rate "
    f"| test, linear rule from {_FROM} | test, rate {start:g} |",
    "|---:|---:|---:|---:|---:|---:|",
  ]
  for size, row in chosen.items():
    good = near(of, size)
    at = {each.rate: each for each in of if each.batch == size}
    linear = start * size / _FROM
    said = f"{_cell(at.get(linear))} ({linear:g})"
    lines.append(
      f"| {size} | {row.rate:g} | {min(good):g} to {max(good):g} "
      f"| {_cell(row)} | {said} | {_cell(at[start])} |"
    )
  return "\n".join(lines)


def _cell(row: Row | None) -> str:
  if row is None:
    return "not tried"
  diverged = np.isinf(row.loss).sum()
  if diverged:
    return f"{diverged} of {len(row.loss)} diverged"
  return f"{row.test.mean():.2%} ± {report.interval(row.test):.2%}"


def draw(of: Sequence[Row], path: pathlib.Path) -> None:
  """Draws validation loss by rate / batch size, and best rate by batch size."""
  from matplotlib import pyplot

  figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5))
  colours = pyplot.get_cmap("viridis")(np.linspace(0, 0.9, len(best(of))))
  for size, colour in zip(best(of), colours, strict=True):
    own = [row for row in of if row.batch == size]
    losses = [row.loss.mean() for row in own]
    scaled = [row.rate / size for row in own]
    left.plot(scaled, losses, ".-", color=colour, label=f"batch {size}")
  left.set(xscale="log", yscale="log", xlabel="learning rate / batch size")
  left.set(ylabel="validation loss, mean over seeds")
  left.legend(fontsize=8)
  _draw_best(of, right)
  for axes in (left, right):
    axes.grid(alpha=0.3, which="both")
  figure.savefig(path, dpi=80, bbox_inches="tight")
  pyplot.close(figure)


def _draw_best(of: Sequence[Row], axes) -> None:
  chosen = best(of)
  sizes = np.array(list(chosen))
  start = chosen[_FROM].rate
  for size in sizes:
    good = near(of, size)
    axes.plot([size, size], [min(good), max(good)], color="C0", alpha=0.4, lw=6)
  axes.plot(sizes, [row.rate for row in chosen.values()], "o", label="best")
  axes.plot(sizes, start * sizes / _FROM, "k--", label="linear rule")
  root = start * np.sqrt(sizes / _FROM)
  axes.plot(sizes, root, "k:", label="square root")
  axes.set_xscale("log", base=2)
  axes.set_yscale("log", base=2)
  axes.set(xlabel="batch size", ylabel="learning rate")
  axes.set_title("Bar: rates as good as the best, to 10 %", fontsize=10)
  axes.legend(fontsize=8)


def main(arguments: Sequence[str] | None = None) -> None:
  """Prints the table of a finished sweep and draws its picture."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("workdir", type=pathlib.Path, help="sweep folder")
  options = parser.parse_args(arguments)
  found = rows(options.workdir)
  print(table(found))
  path = options.workdir / "learning_rate_vs_batch.png"
  draw(found, path)
  print(f"picture: {path.absolute()}")


if __name__ == "__main__":
  main()
