"""Cost of class activation maps, as a multiple of a forward pass.

  python experiments/benchmarks/grad_cam.py
  python experiments/benchmarks/grad_cam.py --models vit_s16 --methods gradcam

For each model the forward pass and each method compute the same images, 1000
classes, random weights. All are compiled first and then take turns in rounds,
in one process. The table shows the median time of the batch, and the median
over the rounds of the ratio to the forward pass of the same round. Expect at
most 3 for class activation maps of the last layer: the forward pass, and the
gradient of the layers behind the map only.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import numpy as np

from jaxvision import interpret, models, variables
from jaxvision.xla import cache, settings

FORWARD = "forward"


def main(arguments: Sequence[str] | None = None) -> None:
  """Prints a row for the forward pass and each method of each model."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--models", nargs="+", default=["resnet50", "vit_s16"])
  parser.add_argument("--methods", nargs="+", default=["gradcam", "layercam"])
  parser.add_argument("--batch_size", type=int, default=64)
  parser.add_argument("--size", type=int, default=224)
  parser.add_argument("--rounds", type=int, default=5)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  cache.cache_compilations()
  print("| model | computation | median, s | forward passes |")
  print("|---|---|---:|---:|")
  for name in options.models:
    functions = _functions(name, options)
    for each, taken in _seconds(functions, options.rounds).items():
      print(
        f"| {name} | {each} | {taken[0]:.4f} | {taken[1]:.3f} |", flush=True
      )


def _functions(
  name: str, options: argparse.Namespace
) -> dict[str, Callable[[], jax.Array]]:
  """Returns the computations of a model, by name."""
  model = models.create(name, num_classes=1000)
  shape = (options.size, options.size, 3)
  drawn = variables.draw(model, image_shape=shape)
  rng = np.random.default_rng(0)
  images = jax.device_put(
    rng.normal(size=(options.batch_size, *shape)).astype(np.float32)
  )
  targets = jax.device_put(np.arange(options.batch_size) % 1000)
  functions = {FORWARD: functools.partial(_logits, model, drawn, images)}
  for method in options.methods:
    compute = interpret.attributions.create(method)
    functions[method] = functools.partial(
      compute, model, drawn, images, targets
    )
  return functions


@functools.partial(jax.jit, static_argnums=0)
def _logits(model: nn.Module, drawn, images: jax.Array) -> jax.Array:
  return model.apply(drawn, images, train=False)


def _seconds(
  functions: dict[str, Callable[[], jax.Array]], rounds: int
) -> dict[str, tuple[float, float]]:
  """Returns {name: median time, median ratio to the forward pass}."""
  for function in functions.values():
    jax.block_until_ready(function())
  taken = {name: [] for name in functions}
  for _ in range(rounds):
    for name, function in functions.items():
      start = time.perf_counter()
      jax.block_until_ready(function())
      taken[name].append(time.perf_counter() - start)
  return {
    name: (
      statistics.median(each),
      statistics.median(np.divide(each, taken[FORWARD])),
    )
    for name, each in taken.items()
  }


if __name__ == "__main__":
  main()
