"""Gradients of convolutions in the main program, in a loop and in a branch.

  python experiments/benchmarks/convolutions.py

Six convolutions of 3x3 with tanh, by `lax.conv_general_dilated` and by
`jaxvision.layers.convolution`; the gradient of all kernels, in processor time.
The programs take turns in rounds, in one process. The table shows the median
over the rounds of the ratio to lax in the main program of the same round.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.layers import convolution
from jaxvision.xla import settings

_LAYERS = 6
_BASE = ("lax", "main program")
Convolve = Callable[[jax.Array, jax.Array], jax.Array]


def _of_lax(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return jax.lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def _own(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return convolution.convolve(x, kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))


def _written_out(convolve: Convolve, x: jax.Array, kernels: jax.Array):
  for kernel in kernels:
    x = jnp.tanh(convolve(x, kernel))
  return x


def _loop(convolve: Convolve, x: jax.Array, kernels: jax.Array):
  def layer(x, kernel):
    return jnp.tanh(convolve(x, kernel)), None

  return jax.lax.scan(layer, x, kernels)[0]


def _branch(convolve: Convolve, x: jax.Array, kernels: jax.Array):
  return jax.lax.cond(
    kernels[0, 0, 0, 0, 0] < 1e9,
    lambda x, kernels: _written_out(convolve, x, kernels),
    lambda x, kernels: x,
    x,
    kernels,
  )


def main(arguments: Sequence[str] | None = None) -> None:
  """Prints a row for each place, with the ratios of both convolutions."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--size", type=int, default=14)
  parser.add_argument("--channels", type=int, default=8)
  parser.add_argument("--batch_size", type=int, default=50)
  parser.add_argument("--rounds", type=int, default=9)
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  rng, c = np.random.default_rng(0), options.channels
  shape = (options.batch_size, options.size, options.size, c)
  x = jnp.asarray(rng.normal(size=shape), jnp.float32)
  kernels = rng.normal(size=(_LAYERS, 3, 3, c, c)) / (3 * c**0.5)
  kernels = jnp.asarray(kernels, jnp.float32)
  programs = {
    (name, where): jax.jit(
      jax.grad(lambda k, c=convolve, n=network: n(c, x, k).sum())
    )
    for name, convolve in (("lax", _of_lax), ("own", _own))
    for where, network in (
      ("main program", _written_out),
      ("loop", _loop),
      ("branch", _branch),
    )
  }
  ratios: dict[tuple[str, str], list[float]] = {key: [] for key in programs}
  for program in programs.values():
    program(kernels).block_until_ready()
  for _ in range(options.rounds):
    seconds = {}
    for key, program in programs.items():
      start = time.process_time()
      program(kernels).block_until_ready()
      seconds[key] = time.process_time() - start
    for key, each in seconds.items():
      ratios[key].append(each / seconds[_BASE])
  print("| place | lax | layers.convolution |\n|---|---:|---:|")
  for where in ("main program", "loop", "branch"):
    own, lax = (statistics.median(ratios[n, where]) for n in ("own", "lax"))
    print(f"| {where} | {lax:.2f} | {own:.2f} |")


if __name__ == "__main__":
  main()
