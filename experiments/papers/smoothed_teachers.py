"""Label smoothing makes a worse teacher.

  python experiments/papers/smoothed_teachers.py

For each of five seeds, two teachers with two layers of 400 units and dropout
are trained on 10,000 digits for 30 epochs, one with the smoothing 0.1. A
student with one layer of 32 units learns from each of them on the same digits:
the loss is that of Hinton with the temperatures 1, 2, 4 and 8 and without
labels. A student of the labels alone is the third kind.

How to read the answer: the temperature of a kind of student is the one with the
best mean accuracy on the validation split. The test accuracies are compared in
pairs of equal seeds, corrected by Holm over both comparisons. The claim has two
parts: (a) the teacher with smoothing is not less accurate: the 95 % interval of
the difference is above minus half a point, and (b) its student is less accurate
than the student of the other teacher. It "holds" if both are true, and "holds
in part" if one is.
"""

import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import arms
import claims
import numpy as np
import small_mnist

import jaxvision

CLAIM = claims.Claim(
  sentence="Label smoothing makes a better network and a worse teacher.",
  source="M\u00fcller et al. 2019, When Does Label Smoothing Help?, section 4",
  published="MNIST, test errors: teachers 0.67 % and with smoothing 0.59 %, "
  "their students 0.74 % and 0.91 %",
  data="MNIST, 10,000 digits for training",
  untested="Convolutional networks; other values of the smoothing.",
)
SEEDS, SMOOTHINGS, TEMPERATURES = range(5), (0.0, 0.1), (1.0, 2.0, 4.0, 8.0)
_OVERRIDES = {
  **small_mnist.OVERRIDES,
  "checkpoint.best": "validation/top1",
  "data.train": "train[:10000]",
  "train.batch_size": 100,
  "train.steps_per_dispatch": 20,
}
_TEACHER = {
  **_OVERRIDES,
  "model.options": {"hidden": (400, 400), "dropout": 0.5},
}
_STUDENT = {**_OVERRIDES, "model.options": {"hidden": (32,), "dropout": 0.0}}
_NOT_LOWER = -0.5  # points


def train_seed(
  seed: int,
  folder: pathlib.Path,
  temperatures: Sequence[float],
  more: Mapping[str, Any],
) -> dict[Any, tuple[float, float]]:
  """Trains the teachers and the students of a seed.

  Args:
    seed: of all runs.
    folder: of the runs.
    temperatures: of the students.
    more: overrides of all runs.

  Returns:
    {"labels" or ("teacher", smoothing) or (smoothing, temperature): the
    accuracies on the validation and the test split, in percent}.
  """

  def measure(name: str, overrides: Mapping[str, Any]) -> tuple[float, float]:
    result = jaxvision.train(
      small_mnist.BASE,
      workdir=folder / name,
      overrides={**overrides, **more, "seed": seed},
    )
    test = result["final"]["metrics"]["top1"]
    return 100 * result["best"]["value"], 100 * test

  found: dict[Any, Any] = {"labels": measure("labels", _STUDENT)}
  for smoothing in SMOOTHINGS:
    teacher = f"teacher-{smoothing}"
    found["teacher", smoothing] = measure(
      teacher, {**_TEACHER, "loss.options.label_smoothing": smoothing}
    )
    for temperature in temperatures:
      options = {"loss": "hinton", "temperature": temperature, "alpha": 1.0}
      found[smoothing, temperature] = measure(
        f"student-{smoothing}-{temperature}",
        {
          **_STUDENT,
          "task.name": "distillation",
          "task.options": options,
          "task.teachers": (str(folder / teacher),),
          "task.teacher_logits": str(folder / f"logits-{smoothing}"),
        },
      )
  return found


def measure(quick: bool) -> claims.Finding:
  """Trains all networks and judges them."""
  more = {"train.duration": "20 steps"} if quick else {}
  temperatures = TEMPERATURES[:1] if quick else TEMPERATURES
  with tempfile.TemporaryDirectory() as folder:
    rows = [
      train_seed(seed, pathlib.Path(folder, str(seed)), temperatures, more)
      for seed in (SEEDS[:2] if quick else SEEDS)
    ]
  validation, test = (
    {name: np.array([row[name][i] for row in rows]) for name in rows[0]}
    for i in range(2)
  )
  best = {
    smoothing: max(
      temperatures, key=lambda t, s=smoothing: validation[s, t].mean()
    )
    for smoothing in SMOOTHINGS
  }
  plain, smooth = SMOOTHINGS
  students = {s: test[s, best[s]] for s in SMOOTHINGS}
  found = arms.compare(
    {
      "teacher": (test["teacher", smooth], test["teacher", plain]),
      "student": (students[smooth], students[plain]),
    }
  )
  teacher = found["teacher"]
  parts = (
    teacher.mean - teacher.half > _NOT_LOWER,
    found["student"].is_negative,
  )
  made, (axes,) = claims.figure()
  for smoothing in SMOOTHINGS:
    errors = [100 - test[smoothing, t] for t in temperatures]
    label = f"teacher with smoothing {smoothing:g}"
    claims.draw_means(axes, temperatures, errors, fmt="o-", label=label)
  axes.axhline(100 - test["labels"].mean(), color="0.6", label="labels alone")
  axes.set(xscale="log", xlabel="temperature", ylabel="student, test error, %")
  axes.set_xticks(temperatures, [f"{t:g}" for t in temperatures])
  axes.legend(fontsize=7)
  return claims.Finding(
    ours="test accuracies, %: teachers "
    + " and ".join(f"{test['teacher', s].mean():.2f}" for s in SMOOTHINGS)
    + f" (difference {teacher}), their students "
    + " and ".join(
      f"{students[s].mean():.2f} (T = {best[s]:g})" for s in SMOOTHINGS
    )
    + f" (difference {found['student']}), labels {test['labels'].mean():.2f}",
    verdict=claims.verdict(parts),
    seeds=len(rows),
    figure=made,
  )


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
