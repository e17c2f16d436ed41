"""Compound scaling: depth, width and resolution of a network grow together.

Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks, section 3. A scaling multiplies the depth, the width and the
resolution of a base network. By the formula of the paper the cost grows by
depth * width^2 * resolution^2. The layers, features and pixels of a network are
whole numbers, so its real cost is different: B0 with a depth of 1.1 has 23
blocks instead of 16. Costs are therefore given by a function

  macs(depth, width, resolution) -> multiply-accumulates of this network

which must not decrease if a factor grows. It is called once for each scaling.
Pass `formula` for the cost of the paper.
"""

import bisect
import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Iterable

from jaxvision import lookup

Macs = Callable[[float, float, float], float]

# Dimension -> its exponent in the formula.
DIMENSIONS = {"depth": 1, "width": 2, "resolution": 2}
# Multiply-accumulates of the paper's target, and the exponent of the objective.
TARGET, EXPONENT = 400e6, -0.07
_WITHIN = 1e-9  # of the bounds of a band, for the rounding of decimal steps


@dataclasses.dataclass(frozen=True)
class Scaling:
  """Factors of the depth, width and resolution of a base network."""

  depth: float = 1.0
  width: float = 1.0
  resolution: float = 1.0

  def __str__(self) -> str:
    return ", ".join(f"{name} {getattr(self, name):g}" for name in DIMENSIONS)


def formula(depth: float, width: float, resolution: float) -> float:
  """The cost relative to the base, by section 3.3 of the paper."""
  return depth * width**2 * resolution**2


def objective(
  accuracy: float,
  *,
  macs: float,
  target: float = TARGET,
  exponent: float = EXPONENT,
) -> float:
  """Accuracy * (cost / target)^exponent, by section 4 of the paper.

  Args:
    accuracy: in any unit, which is that of the result.
    macs: multiply-accumulates of the network.
    target: multiply-accumulates at which the objective is the accuracy.
    exponent: with -0.07 a network of twice the cost must be 5 % better.
  """
  return accuracy * (macs / target) ** exponent


def candidates(
  macs: Macs, *, ratio: float = 2.0, band: float = 0.05, step: float = 0.05
) -> list[Scaling]:
  """Returns the scalings of a grid whose cost is close to a ratio.

  Args:
    macs: see the top of this file.
    ratio: of the cost to that of the base network, above 1.
    band: largest difference of the ratio.
    step: of the grid, which begins at the base. Each dimension is tried up to
      the factor that has twice the ratio by the formula.

  Raises:
    ValueError: a number is out of range, or no scaling is in the band.
  """
  if not (ratio > 1 and band >= 0 and step > 0):
    raise ValueError(
      f"ratio={ratio}, band={band}, step={step}; expected a ratio above 1, a "
      "band of at least 0 and a step above 0"
    )
  macs = functools.cache(macs)
  base = macs(1.0, 1.0, 1.0)
  low = (ratio - band - _WITHIN) * base
  high = (ratio + band + _WITHIN) * base
  depths, widths, resolutions = (
    _factors(name, 2 * ratio, step) for name in DIMENSIONS
  )
  found = []
  for width in widths:
    for resolution in resolutions:
      if macs(1.0, width, resolution) > high:
        break
      cost = functools.partial(_cost_of_depth, macs, width, resolution)
      first = bisect.bisect_left(depths, low, key=cost)
      end = bisect.bisect_right(depths, high, key=cost)
      found += [Scaling(each, width, resolution) for each in depths[first:end]]
  if not found:
    raise ValueError(
      f"no scaling has {ratio - band:g} to {ratio + band:g} times the "
      f"{base:,.0f} multiply-accumulates of the base network in steps of "
      f"{step:g}; give a larger band or a smaller step"
    )
  return sorted(found, key=dataclasses.astuple)


def distinct(
  scalings: Iterable[Scaling],
  identify: Callable[[Scaling], Hashable],
  *,
  ratio: float = 2.0,
) -> list[Scaling]:
  """Returns one scaling for each network.

  Many factors are rounded to the same network. The one whose cost is nearest to
  the ratio by the formula is kept, because its powers are the larger networks.

  Args:
    scalings: such as `candidates`.
    identify: scaling -> a value that is equal for equal networks.
    ratio: of the cost to that of the base network.
  """
  best: dict[Hashable, Scaling] = {}

  def distance(scaling: Scaling) -> float:
    return abs(formula(*dataclasses.astuple(scaling)) - ratio)

  for scaling in scalings:
    before = best.setdefault(identify(scaling), scaling)
    if distance(scaling) < distance(before):
      best[identify(scaling)] = scaling
  return sorted(best.values(), key=dataclasses.astuple)


def family(coefficients: Scaling, *, members: int = 4) -> list[Scaling]:
  """Returns the scalings of phi = 0, 1, ...: the powers of the coefficients.

  Args:
    coefficients: alpha, beta and gamma of the paper.
    members: number of scalings; the first is the base network.

  Raises:
    ValueError: there is no member.
  """
  if members < 1:
    raise ValueError(f"members is {members}; give at least 1")
  factors = dataclasses.astuple(coefficients)
  return [
    Scaling(*(factor**phi for factor in factors)) for phi in range(members)
  ]


def single(
  macs: Macs, *, dimension: str, target: float, step: float = 0.05
) -> Scaling:
  """Returns the scaling of one dimension whose cost is nearest to a target.

  Args:
    macs: see the top of this file.
    dimension: "depth", "width" or "resolution".
    target: multiply-accumulates, at least those of the base network.
    step: of the factors that are tried. Of the factors of the same cost the
      smallest is returned.

  Raises:
    ValueError: the dimension is unknown, or it does not reach the target with
      the factor that has four times the cost of the target by the formula.
  """
  if dimension not in DIMENSIONS:
    raise ValueError(lookup.unknown("dimension", dimension, DIMENSIONS))

  @functools.cache
  def cost(factor: float) -> float:
    return macs(*(factor if name == dimension else 1.0 for name in DIMENSIONS))

  base = cost(1.0)
  if target < base:
    raise ValueError(
      f"the target is {target:,.0f} multiply-accumulates, and the base network "
      f"has {base:,.0f}; give a target that is not smaller"
    )
  factors = _factors(dimension, 4 * target / base, step)
  place = bisect.bisect_left(factors, target, key=cost)
  if place == len(factors):
    raise ValueError(
      f"a {dimension} of {factors[-1]:g} has {cost(factors[-1]):,.0f} multiply-"
      f"accumulates; expected {target:,.0f}: most of the cost of this network "
      f"does not depend on its {dimension}"
    )
  near = {factors[max(place - 1, 0)], factors[place]}
  value = min(map(cost, sorted(near)), key=lambda each: abs(each - target))
  smallest = factors[bisect.bisect_left(factors, value, key=cost)]
  return Scaling(**{dimension: smallest})


def _factors(dimension: str, ratio: float, step: float) -> list[float]:
  """1, 1 + step, ... up to the factor with this ratio by the formula."""
  last = ratio ** (1 / DIMENSIONS[dimension])
  count = math.floor((last - 1) / step + _WITHIN)
  return [round(1 + place * step, 9) for place in range(count + 1)]


def _cost_of_depth(
  macs: Macs, width: float, resolution: float, depth: float
) -> float:
  return macs(depth, width, resolution)
