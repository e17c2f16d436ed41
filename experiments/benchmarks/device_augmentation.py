"""Cost of augmentation inside the compiled step, as a share of the step.

  python experiments/benchmarks/device_augmentation.py
  python experiments/benchmarks/device_augmentation.py --batch_size 16

For each row of `CASES` the train step of the model (forward, backward, SGD with
momentum, the images already on the device) is compiled with the
data.device_transforms of the row. All steps take turns in rounds, in one
process. The table shows

  alone     the median time of the transform compiled by itself, and its share
            of the median step without augmentation. Alone the transform reads
            and writes the batch once more than inside the step;
  step      medians over the rounds of the step, and of its wall and processor
            time over that of the step without augmentation in the same round;
  bytes     memory that the transform reads and writes by XLA's count, over that
            of the forward and backward pass without augmentation. Expect this
            share if memory limits both, as on accelerators.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import config as configs
from jaxvision import data
from jaxvision.training import setup
from jaxvision.training.loop import compilation
from jaxvision.xla import cache, settings

Tree = Any

_BASE = str(pathlib.Path(__file__).parents[2] / "configs" / "default.py")
NONE = "none"
CASES: Mapping[str, tuple[str, ...]] = {
  NONE: (),
  "flip": ("random_flip",),
  "crop": ("random_crop(padding=28)",),
  "Cutout": ("random_cutout(112)",),
  "erasing, noise": ("random_erasing(p=1)",),
  "erasing, mean": ("random_erasing(p=1, fill='mean')",),
  "mixup": ("random_mixup(0.2)",),
  "mixup, permuted, per example": (
    "random_mixup(0.2, per='example', partners='permutation')",
  ),
  "CutMix": ("random_cutmix",),
  "mixup or CutMix": ("random_mixup_or_cutmix",),
  "crop, flip, mixup or CutMix, erasing": (
    "random_crop(padding=28)",
    "random_flip",
    "random_mixup_or_cutmix",
    "random_erasing(p=0.25)",
  ),
}


def prepare(
  calls: Sequence[str],
  images: pathlib.Path,
  *,
  model: str,
  batch_size: int,
) -> setup.Parts:
  """Returns the parts of a run on noise images.

  Args:
    calls: data.device_transforms.
    images: the file of `save_noise`.
    model: a name.
    batch_size: of the step.
  """
  config = configs.load(
    _BASE,
    {
      "model.name": model,
      "data.kind": "npz",
      "data.name": str(images),
      "data.num_classes": 1000,
      "data.validation": "",
      "data.test": "",
      "data.device_transforms": tuple(calls),
      "optimizer.options.momentum": 0.9,
      "train.batch_size": batch_size,
      "train.duration": "1 steps",
    },
  )
  return setup.prepare(config, setup.open_splits(config))


def save_noise(path: pathlib.Path, *, size: int, count: int) -> None:
  """Writes random images (count, size, size, 3) uint8."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
  np.savez(path, images=images, labels=np.arange(count))


def make_step(parts: setup.Parts) -> Callable[[Tree], Tree]:
  """Returns step(state) -> state on the first batch of the run."""
  step, feed, _ = compilation.compile_step(parts)
  _, batch = next(iter(feed(0)))
  return lambda state: step(state, batch)[0]


def measure_steps(
  steps: Mapping[str, Callable[[Tree], Tree]], state: Tree, *, rounds: int
) -> dict[str, np.ndarray]:
  """Returns seconds of each step: (rounds, 2), wall and processor time.

  A first round is not counted.
  """
  seconds = {name: [] for name in steps}
  for number in range(rounds + 1):
    for name, step in steps.items():
      start = time.perf_counter(), time.process_time()
      state = jax.block_until_ready(step(state))
      end = time.perf_counter(), time.process_time()
      if number:
        seconds[name].append(np.subtract(end, start))
  return {name: np.asarray(times) for name, times in seconds.items()}


def compile_alone(
  calls: Sequence[str], *, batch_size: int, size: int
) -> tuple[jax.stages.Compiled, Tree]:
  """Returns the transform alone, and a batch for it."""
  key = jax.random.key(0)
  batch = {
    "image": jax.random.normal(key, (batch_size, size, size, 3)),
    "targets": jax.nn.one_hot(np.arange(batch_size), 1000),
    "mask": np.ones(batch_size, np.float32),
  }
  transform = jax.jit(data.make_device_transform(calls))
  return transform.lower(key, batch).compile(), batch


def seconds_alone(
  transform: jax.stages.Compiled, batch: Tree, *, repeats: int = 25
) -> float:
  """Returns the median time of several calls."""
  key, seconds = jax.random.key(1), []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(transform(key, batch))
    seconds.append(time.perf_counter() - start)
  return statistics.median(seconds)


def bytes_accessed(parts: setup.Parts) -> float:
  """Returns the bytes of the forward and backward pass by XLA's count."""
  state = parts.template
  batch = parts.batch
  loss = parts.task.loss
  gradient = jax.jit(jax.grad(loss, has_aux=True))
  lowered = gradient.lower(
    state.params, state.model_state, batch, jax.random.key(0)
  )
  return lowered.compile().cost_analysis()["bytes accessed"]


def table(
  steps: Mapping[str, np.ndarray],
  alone: Mapping[str, float],
  traffic: Mapping[str, float],
) -> str:
  """Returns a Markdown table.

  Args:
    steps: the result of `measure_steps`, with "none".
    alone: seconds, by the same names.
    traffic: bytes over those of the step without augmentation.
  """
  plain = steps[NONE]
  base = float(np.median(plain[:, 0]))
  lines = [
    "| augmentation | alone, ms | of a step | step, ms | wall / none "
    "| CPU / none | bytes / none |",
    "|---|---:|---:|---:|---:|---:|---:|",
  ]
  for name, times in steps.items():
    wall, processor = np.median(times / plain, axis=0)
    lines.append(
      f"| {name} | {alone[name] * 1e3:.2f} | {alone[name] / base:.2%} "
      f"| {np.median(times[:, 0]) * 1e3:,.0f} | {wall:.3f} | {processor:.3f} "
      f"| {traffic[name]:.2%} |"
    )
  return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the cases of the command line and prints a Markdown table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--model", default="resnet50")
  parser.add_argument("--size", type=int, default=224, help="image size")
  parser.add_argument("--batch_size", type=int, default=8)
  parser.add_argument("--rounds", type=int, default=9)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  cache.cache_compilations()
  with tempfile.TemporaryDirectory() as folder:
    images = pathlib.Path(folder, "images.npz")
    save_noise(images, size=options.size, count=options.batch_size)
    runs = {
      name: prepare(
        calls, images, model=options.model, batch_size=options.batch_size
      )
      for name, calls in CASES.items()
    }
    steps = {name: make_step(parts) for name, parts in runs.items()}
  alone, traffic = {}, {}
  step_bytes = bytes_accessed(runs[NONE])
  for name, calls in CASES.items():
    transform, batch = compile_alone(
      calls, batch_size=options.batch_size, size=options.size
    )
    alone[name] = seconds_alone(transform, batch)
    traffic[name] = transform.cost_analysis()["bytes accessed"] / step_bytes
  seconds = measure_steps(steps, runs[NONE].init(), rounds=options.rounds)
  print(table(seconds, alone, traffic))


if __name__ == "__main__":
  main()
