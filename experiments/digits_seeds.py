"""What accuracy does a digits recipe reach, and how much of it is chance?

  python experiments/digits_seeds.py                 # resnet
  python experiments/digits_seeds.py vit --workdir runs/digits_vit

The seed changes the initial parameters, the order of the examples and the
augmentation. The split of the data is the same in all runs.

How to read the answer: "std" is the standard deviation over seeds. A new seed
has this variation too. "split error" is the standard error of 360 test images
as a sample of all digits, sqrt(p (1 - p) / 360). It is common to all seeds, so
more seeds do not reduce it. This data set does not show differences between two
recipes that are smaller than about twice the split error.
"""

import argparse
import math
import pathlib
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jaxvision
from jaxvision import report

QUESTION = "What is the test accuracy of a digits recipe over seeds?"
BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "digits.py")
SEEDS = (0, 1, 2, 3, 4)
TEST_IMAGES = 360


def train_seeds(
  model: str,
  workdir: pathlib.Path,
  *,
  seeds: Sequence[int] = SEEDS,
  overrides: Mapping[str, Any] | None = None,
) -> list[dict[str, float]]:
  """Trains one run per seed in WORKDIR/seed-N and compares them on a page.

  Args:
    model: argument of the recipe.
    workdir: of all runs; finished runs are not trained again.
    seeds: one run each.
    overrides: more overrides of the recipe.

  Returns:
    Per seed: seed, accuracy in [0, 1] on the test split, and seconds from the
    start of the run to its report, compilation included.
  """
  folders = [workdir / f"seed-{seed}" for seed in seeds]
  rows = []
  for seed, folder in zip(seeds, folders, strict=True):
    start = time.monotonic()
    result = jaxvision.train(
      f"{BASE}:{model}",
      workdir=folder,
      overrides={"seed": seed, **(overrides or {})},
    )
    rows.append(
      {
        "seed": seed,
        "accuracy": result["final"]["metrics"]["top1"],
        "seconds": time.monotonic() - start,
      }
    )
  report.write_comparison(folders, workdir / "comparison.html")
  return rows


def table(model: str, rows: Sequence[Mapping[str, float]]) -> str:
  """Returns a Markdown table of the rows of `train_seeds`; at least two."""
  accuracies = [row["accuracy"] for row in rows]
  mean = statistics.mean(accuracies)
  split_error = math.sqrt(mean * (1 - mean) / TEST_IMAGES)
  lines = [
    f"| {model} | test accuracy | errors | seconds |",
    "|---|---:|---:|---:|",
  ]
  for row in rows:
    errors = round((1 - row["accuracy"]) * TEST_IMAGES)
    lines.append(
      f"| seed {row['seed']} | {row['accuracy']:.2%} | {errors} "
      f"| {row['seconds']:.0f} |"
    )
  median = statistics.median(row["seconds"] for row in rows)
  spread = statistics.stdev(accuracies)
  lines += [
    f"| mean | {mean:.2%} | | {median:.0f} (median) |",
    f"| std | {spread:.2%} | | |",
    f"| split error | {split_error:.2%} | | |",
  ]
  return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the experiment for the model of the command line."""
  parser = argparse.ArgumentParser(description=QUESTION)
  parser.add_argument("model", nargs="?", default="resnet")
  parser.add_argument("--workdir", type=pathlib.Path)
  options = parser.parse_args(arguments)
  workdir = options.workdir or pathlib.Path("runs", f"digits_{options.model}")
  rows = train_seeds(options.model, workdir)
  print(table(options.model, rows))
  print(f"comparison: {workdir.absolute() / 'comparison.html'}")


if __name__ == "__main__":
  main()
