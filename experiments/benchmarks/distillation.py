"""The cost of a distillation step: is it that of its parts?

  python experiments/benchmarks/distillation.py
  python experiments/benchmarks/distillation.py --cases resnet18 --rounds 9

A distillation step computes the step of the student and the forward pass of the
teacher. For each case it is measured in turn with the two parts:

  student  the step of the same student in classification
  teacher  the logits of the teacher for the same batch, compiled alone
  distil   the step of the task "distillation"

Data are noise, and weights are random. The ratio is distil / (student +
teacher) within a round, as a median over the rounds. At most 1 means that the
step costs nothing beyond its parts. The first round is not counted.
"""

import argparse
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import config as configs
from jaxvision import data, models, tasks, variables
from jaxvision.training import setup
from jaxvision.training.loop import compilation
from jaxvision.xla import settings

Tree = Any

_RECIPE = str(pathlib.Path(__file__).parents[2] / "configs" / "default.py")
_NORMALIZATION = data.Normalization((0.4,), (0.3,))


@dataclasses.dataclass(frozen=True)
class Case:
  """A student and its teacher.

  Attributes:
    student, teacher: names of models.
    image_size: of the student and the teacher, in pixels.
    batch_size: examples of a step.
    steps: in a round.
  """

  student: str
  teacher: str
  image_size: int
  batch_size: int
  steps: int


CASES = {
  "mlp": Case("mlp", "mlp", 32, 128, 100),
  "resnet18": Case("resnet18", "resnet50", 128, 16, 2),
  "vit_ti16": Case("vit_ti16", "resnet50", 128, 16, 2),
}


def make_variants(
  case: Case, folder: pathlib.Path
) -> dict[str, Callable[[], Any]]:
  """Returns a function per variant that computes `case.steps` steps."""
  plain = _prepare(case, folder)
  taught = _prepare(case, folder, teacher=_teacher(case))
  (constants,) = taught.task.constants
  (teacher,) = taught.taught.teachers
  batch = jax.device_put(taught.batches["train"].at(0))

  @jax.jit
  def answer(constants, images):
    return tasks.teachers.logits(
      [teacher],
      constants,
      images=data.normalize(images, taught.normalization),
      normalization=taught.normalization,
    )

  def repeated_answer():
    for _ in range(case.steps):
      found = answer(constants, batch["image"])
    return found

  return {
    "student": _repeated_step(plain, case.steps),
    "teacher": repeated_answer,
    "distil": _repeated_step(taught, case.steps),
  }


def _prepare(
  case: Case, folder: pathlib.Path, *, teacher: tasks.Teacher | None = None
) -> setup.Parts:
  path = folder / "noise.npz"
  if not path.exists():
    shape = (case.batch_size, case.image_size, case.image_size, 3)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shape, np.uint8)
    np.savez(path, images=images, labels=np.arange(len(images)) % 10)
  overrides = {
    "model.name": case.student,
    "data.kind": "npz",
    "data.name": str(path),
    "data.validation": "",
    "data.test": "",
    "train.batch_size": case.batch_size,
    "train.duration": f"{10**6} steps",
  }
  if teacher:
    overrides |= {"task.name": "distillation", "task.teachers": (teacher.name,)}
  config = configs.load(_RECIPE, overrides)
  shared = tasks.Taught((teacher,)) if teacher else None
  return setup.prepare(config, setup.open_splits(config), taught=shared)


def _teacher(case: Case) -> tasks.Teacher:
  model = models.create(case.teacher, num_classes=10)
  shape = (case.image_size, case.image_size, 3)
  return tasks.Teacher(
    name=case.teacher,
    model=model,
    variables=variables.draw(model, image_shape=shape),
    normalization=_NORMALIZATION,
    image_size=shape[:2],
  )


def _repeated_step(parts: setup.Parts, steps: int) -> Callable[[], Tree]:
  """The compiled step, repeated; the state continues over the rounds."""
  step, feed, _ = compilation.compile_step(parts)
  _, batch = next(feed(0))
  kept = {"state": parts.init()}

  def repeated():
    for _ in range(steps):
      kept["state"], sums = step(kept["state"], batch)
    return sums

  return repeated


def measure(
  variants: Mapping[str, Callable[[], Any]], *, rounds: int
) -> dict[str, np.ndarray]:
  """Returns seconds of each variant: (rounds, 2), wall and processor time."""
  seconds = {name: [] for name in variants}
  for number in range(rounds + 1):
    for name, compute in variants.items():
      start = time.perf_counter(), time.process_time()
      jax.block_until_ready(compute())
      end = time.perf_counter(), time.process_time()
      if number:
        seconds[name].append(np.subtract(end, start))
  return {name: np.asarray(times) for name, times in seconds.items()}


def row(name: str, case: Case, seconds: Mapping[str, np.ndarray]) -> str:
  """Returns a line of the table."""
  parts = seconds["student"] + seconds["teacher"]
  wall, processor = np.median(seconds["distil"] / parts, axis=0)
  each = " | ".join(
    f"{1e3 * np.median(times[:, 0]) / case.steps:,.4g}"
    for times in seconds.values()
  )
  return f"| {name} | {case.teacher} | {each} | {wall:.3f} | {processor:.3f} |"


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the cases of the command line and prints a Markdown table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
  parser.add_argument("--rounds", type=int, default=5)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  columns = ("student", "teacher", "distil")
  heads = " | ".join(f"{each}, ms" for each in columns)
  print(f"| student | teacher | {heads} | wall ratio | CPU ratio |")
  print("|---|---|---:|---:|---:|---:|---:|", flush=True)
  for name in options.cases:
    with tempfile.TemporaryDirectory() as folder:
      variants = make_variants(CASES[name], pathlib.Path(folder))
      seconds = measure(variants, rounds=options.rounds)
    print(row(name, CASES[name], seconds), flush=True)


if __name__ == "__main__":
  main()
