"""Cost of a variance without cancellation in batch normalisation.

  python experiments/benchmarks/batch_norm.py

A step is a convolution (3x3, or 1x1 on small images), the normalisation of its
output in training, and the gradients of input, scale and bias. Three formulas
of the variance take turns, and their medians are compared:

  one pass   E[x^2] - E[x]^2, which cancels
  shifted    the same after subtracting the mean of the first example of x; the
             formula that jaxvision uses
  two pass   E[(x - E[x])^2]; a second exchange if devices share the batch

The last row is the relative error of each variance for a mean of 1,000 standard
deviations.
"""

import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.layers import batch_norm

# Images, image side, channels, kernel side.
SHAPES = ((64, 32, 64, 3), (64, 16, 128, 3), (64, 8, 256, 3), (256, 4, 512, 1))
_ROUNDS = 15


def _mean(x):
  return x.mean(axis=(0, 1, 2), keepdims=True)


def _one_pass(self, x, **_):
  x = jax.lax.stop_gradient(x)
  mean = _mean(x)
  return mean, jnp.maximum(_mean(jnp.square(x)) - jnp.square(mean), 0)


def _two_pass(self, x, **_):
  x = jax.lax.stop_gradient(x)
  mean = _mean(x)
  return mean, _mean(jnp.square(x - mean))


WAYS = {
  "one pass": _one_pass,
  "shifted": batch_norm.BatchNorm.moments,
  "two pass": _two_pass,
}


def _module(way: str) -> batch_norm.BatchNorm:
  kind = type("BatchNorm", (batch_norm.BatchNorm,), {"moments": WAYS[way]})
  return kind(use_running_average=False, momentum=0.0)


def _step(way: str, x: jax.Array, kernel: jax.Array):
  module = _module(way)
  variables = module.init(jax.random.key(0), x)

  def loss(params, x, kernel):
    y = jax.lax.conv_general_dilated(
      x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y, _ = module.apply(
      {**variables, "params": params}, y, mutable=["batch_stats"]
    )
    return jnp.sum(jnp.sin(y))

  gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
  return functools.partial(gradient, variables["params"], x, kernel)


def seconds(shape: tuple[int, int, int, int]) -> dict[str, float]:
  """Returns the median time of a step for each formula of the variance."""
  images, side, channels, size = shape
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(images, side, side, channels)), "float32")
  kernel = rng.normal(size=(size, size, channels, channels)) / channels
  steps = {way: _step(way, x, jnp.asarray(kernel, "float32")) for way in WAYS}
  for step in steps.values():
    jax.block_until_ready(step())
  taken = {way: [] for way in WAYS}
  for _ in range(_ROUNDS):
    for way, step in steps.items():
      start = time.perf_counter()
      jax.block_until_ready(step())
      taken[way].append(time.perf_counter() - start)
  return {way: statistics.median(each) for way, each in taken.items()}


def error(way: str) -> float:
  """Returns the variance's relative error at a mean of 1,000 deviations."""
  x = 1000 + np.random.default_rng(0).normal(size=(64, 16, 16, 8))
  x = x.astype(np.float32)
  variables = _module(way).init(jax.random.key(0), x)
  _, state = _module(way).apply(variables, x, mutable=["batch_stats"])
  exact = x.astype(np.float64).var(axis=(0, 1, 2))
  return float(np.abs(state["batch_stats"]["var"] / exact - 1).max())


def main() -> None:
  """Prints a row for each shape, and the errors."""
  print("| images, side, channels, kernel | " + " | ".join(WAYS) + " |")
  print("|---|" + "---:|" * len(WAYS))
  for shape in SHAPES:
    found = seconds(shape)
    ratios = [f"{each / found['one pass']:.3f}" for each in found.values()]
    print(f"| {', '.join(map(str, shape))} | " + " | ".join(ratios) + " |")
  errors = [f"{error(way):.1e}" for way in WAYS]
  print("| error of the variance | " + " | ".join(errors) + " |")


if __name__ == "__main__":
  main()
