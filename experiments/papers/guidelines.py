"""ShuffleNet-v2's four guidelines: equal FLOPs are not equal times.

  python experiments/papers/guidelines.py

Networks of ten blocks on maps of 56x56 pixels for one image, float32, forward
only, after section 2 of the paper:

  G1  two 1x1 convolutions with the widths c1 and c2, in the ratios 1:1 (128 and
      128), 1:2 (90, 180), 1:6 (52, 312) and 1:12 (36, 432)
  G2  a 1x1 convolution with 1, 2, 4 and 8 groups, and 128, 180, 256 and 360
      channels
  G3  one 1x1 convolution with 128 channels, or 2 or 4 with fewer, one after the
      other (91, 64) or beside each other (91, 64), whose results are added
  G4  a bottleneck (1x1, 3x3 and 1x1 convolutions; 128, 32 and 128 channels)
      with and without ReLU, and with and without the shortcut

The networks of a guideline have equal multiply-accumulates up to 6 %. They take
turns for 30 rounds of five calls, and the first round is not counted.

How to read the answer: the median over the rounds of the time divided by that
of the first network of the guideline in the same round, with a 95 % interval of
a bootstrap over the rounds. The statements: G1, the ratio 1:12 takes more time
than 1:1; G2, eight groups take more time than one; G3, four fragments, of
either kind, take more time than one; G4, ReLU and the shortcut take time:
without both it is less. A statement is true if its interval is on the stated
side of 1. The claim "holds" if all four are true, and "holds in part" if at
least one is.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import claims
import jax
import jax.numpy as jnp
import numpy as np

CLAIM = claims.Claim(
  sentence="At equal FLOPs, a network is faster with equal widths, few groups, "
  "few fragments and few element-wise operations.",
  source="Ma et al. 2018, ShuffleNet V2, Tables 1 to 4",
  published="GPU, batches per second: 1:1 1,480, 1:12 748; one group 2,451, "
  "eight groups 634",
  data="noise",
  untested="GPUs and phones; other sizes; training.",
)
_SIDE, _BLOCKS, _ROUNDS, _CALLS, _DRAWS = 56, 10, 30, 5, 10_000

Block = Callable[[jax.Array], jax.Array]


def _conv(
  rng: np.random.Generator, size: int, c_in: int, c_out: int, groups: int = 1
) -> Block:
  """A convolution with random weights of unit gain."""
  fan_in = size * size * c_in // groups
  kernel = rng.normal(0, fan_in**-0.5, (size, size, c_in // groups, c_out))
  kernel = jnp.asarray(kernel, jnp.float32)

  def convolve(x):
    return jax.lax.conv_general_dilated(
      *(x, kernel, (1, 1), "SAME"),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
      feature_group_count=groups,
    )

  return convolve


def _chain(*blocks: Block) -> Block:
  def run(x):
    for block in blocks:
      x = block(x)
    return x

  return run


def _bottleneck(
  rng: np.random.Generator, *, relu: bool, shortcut: bool
) -> Block:
  convs = [
    _conv(rng, size, c_in, c_out)
    for size, c_in, c_out in ((1, 128, 32), (3, 32, 32), (1, 32, 128))
  ]

  def run(x):
    y = x
    for conv in convs:
      y = jax.nn.relu(conv(y)) if relu else conv(y)
    return x + y if shortcut else y

  return run


def networks(seed: int = 0) -> dict[str, dict[str, tuple[int, Block]]]:
  """Returns {guideline: {network: (channels of its input, network)}}."""
  rng = np.random.default_rng(seed)

  def repeat(channels: int, make: Callable[[], Block]) -> tuple[int, Block]:
    return channels, _chain(*(make() for _ in range(_BLOCKS)))

  def beside(channels: int, count: int) -> Block:
    convs = [_conv(rng, 1, channels, channels) for _ in range(count)]
    return lambda x: sum(conv(x) for conv in convs)

  def one_by_one(channels: int, groups: int = 1) -> Block:
    return _conv(rng, 1, channels, channels, groups)

  widths = {"1:1": (128, 128), "1:2": (90, 180), "1:6": (52, 312)}
  widths["1:12"] = (36, 432)
  return {
    "G1": {
      name: repeat(
        a,
        lambda a=a, b=b: _chain(_conv(rng, 1, a, b), _conv(rng, 1, b, a)),
      )
      for name, (a, b) in widths.items()
    },
    "G2": {
      f"{groups} groups": repeat(c, lambda c=c, g=groups: one_by_one(c, g))
      for groups, c in ((1, 128), (2, 180), (4, 256), (8, 360))
    },
    "G3": {
      "one": repeat(128, lambda: one_by_one(128)),
      **{
        f"{n} in series": repeat(
          c, lambda c=c, n=n: _chain(*(one_by_one(c) for _ in range(n)))
        )
        for n, c in ((2, 91), (4, 64))
      },
      **{
        f"{n} in parallel": repeat(c, lambda c=c, n=n: beside(c, n))
        for n, c in ((2, 91), (4, 64))
      },
    },
    "G4": {
      name: repeat(
        128, lambda o=options: _bottleneck(rng, relu=o[0], shortcut=o[1])
      )
      for name, options in {
        "both": (True, True),
        "no ReLU": (False, True),
        "no shortcut": (True, False),
        "neither": (False, False),
      }.items()
    },
  }


def time_all(
  of: Mapping[str, tuple[int, Block]], rounds: int
) -> dict[str, list[float]]:
  """Returns {network: seconds by round}; the networks take turns."""
  programs = {}
  for name, (channels, network) in of.items():
    x = jnp.ones((1, _SIDE, _SIDE, channels), jnp.float32)
    programs[name] = jax.jit(network).lower(x).compile(), x
  found: dict[str, list[float]] = {name: [] for name in of}
  for _ in range(1 + rounds):
    for name, (program, x) in programs.items():
      start = time.perf_counter()
      for _ in range(_CALLS):
        result = program(x)
      result.block_until_ready()
      found[name].append(time.perf_counter() - start)
  return {name: each[1:] for name, each in found.items()}


def ratios(
  seconds: Mapping[str, list[float]],
) -> dict[str, tuple[float, float, float]]:
  """Returns {network: median ratio to the first one, and its interval}."""
  first, rng = next(iter(seconds.values())), np.random.default_rng(0)
  found = {}
  for name, each in seconds.items():
    of_rounds = np.divide(each, first)
    rows = rng.integers(len(of_rounds), size=(_DRAWS, len(of_rounds)))
    low, high = np.quantile(np.median(of_rounds[rows], axis=1), (0.025, 0.975))
    found[name] = statistics.median(of_rounds), float(low), float(high)
  return found


def measure(quick: bool) -> claims.Finding:
  """Times the networks of all guidelines."""
  found = {
    name: ratios(time_all(of, 3 if quick else _ROUNDS))
    for name, of in networks().items()
  }
  parts = (
    found["G1"]["1:12"][1] > 1,
    found["G2"]["8 groups"][1] > 1,
    all(found["G3"][f"4 in {kind}"][1] > 1 for kind in ("series", "parallel")),
    found["G4"]["neither"][2] < 1,
  )
  last = {"G1": "1:12", "G2": "8 groups", "G3": "4 in parallel"}
  last["G4"] = "neither"
  return claims.Finding(
    ours="time relative to the first network: "
    + ", ".join(
      f"{name} {key} {found[name][key][0]:.2f} ({found[name][key][1]:.2f} to "
      f"{found[name][key][2]:.2f})"
      for name, key in last.items()
    ),
    verdict=claims.verdict(parts),
    seeds=0,
    figure=_draw(found),
  )


def _draw(found: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> Any:
  made, panels = claims.figure(4, width=2.4)
  for axes, (name, each) in zip(panels, found.items(), strict=True):
    medians, lows, highs = (
      np.array(v) for v in zip(*each.values(), strict=True)
    )
    axes.bar(list(each), medians, yerr=[medians - lows, highs - medians])
    axes.axhline(1, color="0.6", linewidth=1)
    axes.tick_params(axis="x", labelsize=6, rotation=60)
    axes.set_title(name, fontsize=9)
  panels[0].set_ylabel("time, relative")
  return made


if __name__ == "__main__":
  claims.run(__file__, CLAIM, measure)
