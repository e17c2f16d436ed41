"""Cost of one compiled program for all cells of NAS-Bench-201.

  python experiments/benchmarks/switched_cells.py

The network is a proxy: 2 stages of one cell, 8 channels, images of 14x14, a
batch of 64. A step is the gradient of the loss in training. Three programs take
turns:

  static    for one cell
  switched  for any cell: arguments choose the operations
  batched   the same for several cells at once

The columns are the seconds to trace and to compile a program, the cells that it
serves, the median time of a step for each cell, and this time divided by that
of `static`.
"""

import functools
import random
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision import genotypes, models, variables
from jaxvision.sweeps.vectorized import jaxpr

CELLS = 4
BATCH, SIDE = 64, 14
_ROUNDS = 7


def draw_archs() -> list[str]:
  """Returns random cells."""
  space, rng = genotypes.create("nasbench201"), random.Random(0)
  return [
    space.write({k: rng.choice(v) for k, v in space.decisions.items()})
    for _ in range(CELLS)
  ]


def make_step(arch: str, *, operations: str) -> tuple[Callable, tuple]:
  """Returns (gradients and statistics of variables and images, arguments)."""
  model = models.create(
    "nasbench201",
    num_classes=10,
    arch=arch,
    cells=1,
    channels=8,
    stages=2,
    operations=operations,
  )
  tree = variables.draw(model, image_shape=(SIDE, SIDE, 3))
  rng = np.random.default_rng(0)
  images = rng.normal(size=(BATCH, SIDE, SIDE, 3)).astype(np.float32)

  def step(tree, images):
    def loss(params):
      logits, state = model.apply(
        {**tree, "params": params}, images, train=True, mutable=["batch_stats"]
      )
      return -jax.nn.log_softmax(logits)[:, 0].mean(), state

    return jax.grad(loss, has_aux=True)(tree["params"])

  return step, (tree, jnp.asarray(images))


def make_general_steps(
  archs: list[str],
) -> dict[str, tuple[Callable, tuple]]:
  """Returns the programs for any cell, and for all cells at once."""
  pairs = [make_step(arch, operations="switched") for arch in archs]
  tree, images = pairs[0][1]
  lifted = jaxpr.lift([jax.make_jaxpr(step)(tree, images) for step, _ in pairs])

  def step(row, leaves, images):
    return lifted.call(row, [*leaves, images])

  leaves = jax.tree.leaves(tree)
  stacked = [jnp.stack([leaf] * len(archs)) for leaf in leaves]
  first = tuple(jnp.asarray(number[0]) for number in lifted.numbers)
  return {
    "switched": (step, (first, leaves, images)),
    "batched": (
      jax.vmap(step, in_axes=(0, 0, None)),
      (lifted.numbers, stacked, images),
    ),
  }


def compiled(step: Callable, arguments: tuple) -> tuple[Callable, float, float]:
  """Returns (the program, seconds to trace, seconds to compile)."""
  start = time.perf_counter()
  lowered = jax.jit(step).lower(*arguments)
  traced = time.perf_counter()
  program = lowered.compile()
  end = time.perf_counter()
  run = functools.partial(program, *arguments)
  return run, traced - start, end - traced


def main() -> None:
  """Prints a row for each program."""
  archs = draw_archs()
  pairs = {"static": make_step(archs[0], operations="static")}
  pairs |= make_general_steps(archs)
  runs = {name: compiled(*pair) for name, pair in pairs.items()}
  taken = {name: [] for name in runs}
  for _ in range(1 + _ROUNDS):
    for name, (run, *_) in runs.items():
      start = time.perf_counter()
      jax.block_until_ready(run())
      taken[name].append(time.perf_counter() - start)
  print(f"{CELLS} cells: {'; '.join(archs)}\n")
  print("| | trace | compile | cells | ms a step and cell | ratio |")
  print("|---|---:|---:|---:|---:|---:|")
  at_once = {"static": 1, "switched": 1, "batched": CELLS}
  medians = {
    name: statistics.median(each[1:]) / at_once[name]
    for name, each in taken.items()
  }
  served = {
    "static": "1",
    "switched": "all",
    "batched": f"all, {CELLS} at once",
  }
  for name, (_, trace, compile_) in runs.items():
    print(
      f"| {name} | {trace:.2f} s | {compile_:.2f} s | {served[name]} | "
      f"{1e3 * medians[name]:.1f} | {medians[name] / medians['static']:.2f} |"
    )


if __name__ == "__main__":
  main()
