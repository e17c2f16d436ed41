"""Which augmentation helps a small ResNet that sees few digits?

  python experiments/augmentation.py
  python experiments/augmentation.py --per_class 10 --variants shifts CutMix

The ResNet of configs/digits.py is trained on 10 or 50 real digits of each class
and tested on 1,000 others. All runs use the same test images. The seed
determines the training examples, the initial parameters, the order and the
augmentation. A seed has the same examples in all variants. Learning rate,
weight decay and moving average are those of the recipe. No variant was tuned:
settings are those of the papers for CIFAR, with half of the image's side for
Cutout and the middle of the range for RandAugment. "shifts" are crops with a
padding of one pixel. All variants after "shifts" use shifts too. Flips are a
negative example: few digits equal their mirror image.

How to read the answer: "accuracy" is the mean over the seeds and the half width
of its 95 % interval by Student's t. It includes the variation of the training
examples. "against shifts" compares runs with the same examples, so this
variation cancels. If the interval contains 0, no effect of the augmentation has
been shown. The 1,000 test images have a separate standard error, 0.5 % at 97 %.
It is common to all cells, and more seeds do not reduce it.
"""

import argparse
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats
from sklearn import datasets

import jaxvision
from jaxvision.runs import metrics_log

QUESTION = "Which augmentation helps a small ResNet that sees few digits?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "digits.py:resnet")
PER_CLASS = (10, 50)
SEEDS = (0, 1, 2, 3, 4)
STEPS = 300
TEST_IMAGES = 1000
_SETTINGS = {
  "model.options.features": 16,  # instead of 24, to save time
  "data.kind": "npz",
  # RandAugment runs on the host. All variants use the same placement.
  "data.placement": "host",
  "data.threads": 1,
  # Nothing is selected by the test split. It is used for the curves.
  "data.validation": "test",
  "data.test": "test",
  "checkpoint.best": "",
  "loss.options.label_smoothing": 0.0,
  "train.batch_size": 50,
  "train.duration": f"{STEPS} steps",
  "evaluate.every": "10 percent",
  "evaluate.batch_size": 200,
  "checkpoint.every": "100 percent",
  "log.every": "10 percent",
  "log.tensorboard": False,
}
_SHIFTS = "random_crop(padding=1)"


def _with_shifts(*calls: str) -> dict[str, Any]:
  return {"data.device_transforms": (_SHIFTS, *calls)}


# Name -> overrides of the recipe.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
  "none": {"data.device_transforms": ()},
  "shifts": _with_shifts(),
  "flips": _with_shifts("random_flip"),
  "Cutout": _with_shifts("random_cutout(4)"),
  "mixup": _with_shifts("random_mixup(1.0)"),
  "CutMix": _with_shifts("random_cutmix(p=0.5)"),
  "RandAugment": {
    **_with_shifts(),
    "data.train_transforms": ("random_randaugment(2, magnitude=5, fill=0)",),
  },
  "label smoothing": {**_with_shifts(), "loss.options.label_smoothing": 0.1},
}


def save_digits(path: pathlib.Path, *, per_class: int, seed: int) -> None:
  """Writes `per_class` digits of each class and the 1,000 test images.

  Args:
    path: of the .npz file.
    per_class: at most 70.
    seed: determines the digits; the test images do not depend on it.
  """
  digits = datasets.load_digits()
  images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
  order = np.random.default_rng(0).permutation(len(images))
  test, pool = order[:TEST_IMAGES], order[TEST_IMAGES:]
  rng = np.random.default_rng([1, seed])
  train = np.concatenate(
    [
      rng.permutation(pool[digits.target[pool] == label])[:per_class]
      for label in range(10)
    ]
  )
  path.parent.mkdir(parents=True, exist_ok=True)
  np.savez(
    path,
    train_images=images[train],
    train_labels=digits.target[train],
    test_images=images[test],
    test_labels=digits.target[test],
  )


def train_all(
  workdir: pathlib.Path,
  *,
  variants: Sequence[str] = tuple(VARIANTS),
  per_class: Sequence[int] = PER_CLASS,
  seeds: Sequence[int] = SEEDS,
  overrides: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
  """Trains a run for each variant, size and seed; reads finished runs.

  Args:
    workdir: of all runs, WORKDIR/SIZE/VARIANT/seed-N.
    variants: names in VARIANTS.
    per_class: training examples of each class.
    seeds: one run each.
    overrides: more overrides, for all runs.

  Returns:
    Per run: variant, per_class, seed, accuracy in [0, 1] after the last step,
    and curve, pairs (step, accuracy).
  """
  rows = []
  for size in per_class:
    for seed in seeds:
      path = workdir / f"digits-{size}-{seed}.npz"
      save_digits(path, per_class=size, seed=seed)
      for variant in variants:
        folder = workdir / str(size) / _slug(variant) / f"seed-{seed}"
        settings = {"seed": seed, "data.name": str(path), **_SETTINGS}
        settings |= {**VARIANTS[variant], **(overrides or {})}
        jaxvision.train(BASE, workdir=folder, overrides=settings)
        curve = list(_curve(folder))
        row = {"variant": variant, "per_class": size, "seed": seed}
        rows.append({**row, "accuracy": curve[-1][1], "curve": curve})
  return rows


def _slug(variant: str) -> str:
  return variant.replace(" ", "-").lower()


def _curve(folder: pathlib.Path) -> Iterator[tuple[int, float]]:
  """Returns steps and test accuracies of the moving average."""
  for values in metrics_log.read_metrics(folder):
    if "validation_ema/top1" in values:
      yield values["step"], values["validation_ema/top1"]


def interval(values: Sequence[float]) -> tuple[float, float]:
  """Returns the mean and the half width of its 95 % interval; nan for one."""
  if len(values) < 2:
    return float(np.mean(values)), float("nan")
  quantile = stats.t.ppf(0.975, len(values) - 1)
  return float(np.mean(values)), float(quantile * stats.sem(values))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Returns a Markdown table of the rows of `train_all`; needs "shifts"."""
  sizes = sorted({row["per_class"] for row in rows})
  lines = [
    "| added | "
    + " | ".join(f"{n} a class: accuracy | against shifts" for n in sizes)
    + " |",
    "|---|" + "---:|---:|" * len(sizes),
  ]
  for variant in dict.fromkeys(row["variant"] for row in rows):
    cells = []
    for size in sizes:
      own, shifts = (
        _accuracies(rows, name, size) for name in (variant, "shifts")
      )
      mean, half = interval(own)
      cells.append(f"{mean:.2%} ± {half:.2%}")
      mean, half = interval(own - shifts)
      against = f"{100 * mean:+.2f} ± {100 * half:.2f}"
      cells.append("" if variant == "shifts" else against)
    lines.append(f"| {variant} | " + " | ".join(cells) + " |")
  return "\n".join(lines)


def _accuracies(rows, variant: str, per_class: int) -> np.ndarray:
  """Returns (seeds,) accuracies in the order of the seeds."""
  return np.array(
    [
      row["accuracy"]
      for row in sorted(rows, key=lambda row: row["seed"])
      if (row["variant"], row["per_class"]) == (variant, per_class)
    ]
  )


def draw_curves(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
  """Draws the mean test accuracy by step, with a panel for each size."""
  from matplotlib import pyplot

  sizes = sorted({row["per_class"] for row in rows})
  figure, panels = pyplot.subplots(
    1, len(sizes), figsize=(5 * len(sizes), 4), squeeze=False
  )
  for panel, size in zip(panels[0], sizes, strict=True):
    chosen = [row for row in rows if row["per_class"] == size]
    for number, variant in enumerate(dict.fromkeys(r["variant"] for r in rows)):
      curves = [r["curve"] for r in chosen if r["variant"] == variant]
      steps, accuracies = np.mean(curves, axis=0).T
      color = f"C{number % 10}"
      panel.plot(steps, 100 * accuracies, ".-", color=color, label=variant)
    finals = [100 * row["curve"][-1][1] for row in chosen]
    panel.set_ylim(min(finals) - 3, max(finals) + 1)
    panel.set(title=f"{size} digits of each class", xlabel="step")
    panel.grid(alpha=0.3)
  panels[0][0].set_ylabel("test accuracy, %")
  panels[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
  figure.savefig(path, dpi=80, bbox_inches="tight")
  pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the experiment, prints the table and draws the curves."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
  parser.add_argument(
    "--per_class", nargs="+", type=int, default=list(PER_CLASS)
  )
  parser.add_argument("--steps", type=int, default=STEPS)
  parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
  parser.add_argument(
    "--workdir", type=pathlib.Path, default=pathlib.Path("runs/augmentation")
  )
  options = parser.parse_args(arguments)
  rows = train_all(
    options.workdir,
    variants=options.variants,
    per_class=options.per_class,
    seeds=options.seeds,
    overrides={"train.duration": f"{options.steps} steps"},
  )
  print(table(rows))
  draw_curves(rows, options.workdir / "curves.png")
  print(f"curves: {options.workdir.absolute() / 'curves.png'}")


if __name__ == "__main__":
  main()
