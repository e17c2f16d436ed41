"""Factors by the cost of networks: published numbers, exact counts."""

import dataclasses
import functools
import itertools
import math

import pytest

from jaxvision import models, summary
from jaxvision.models import efficientnet
from jaxvision.sweeps.search import compound_scaling
from jaxvision.sweeps.search.compound_scaling import Scaling

# Tan and Le 2019, section 4: alpha, beta, gamma of EfficientNet.
PUBLISHED = Scaling(1.2, 1.1, 1.15)


@functools.cache
def _model(depth, width):
  return models.create(
    "efficientnet_b0", num_classes=1000, depth=depth, width=width
  )


@functools.cache
def _count_blocks(depth, width, resolution):
  """Multiply-accumulates of B0 after scaling, from its table of stages.

  It is the formula of each layer, without a network: a slow obvious version.
  """
  model = _model(depth, width)

  def features(count):
    return efficientnet.round_features(count, width=width)

  side = math.ceil(round(224 * resolution) / 2)
  channels = features(32)
  count = side**2 * 27 * channels
  for repeats, (_, kernel, stride, expansion, out) in zip(
    model.repeats, model.stages, strict=True
  ):
    for block in range(repeats):
      inner = expansion * channels
      count += side**2 * channels * inner * (expansion > 1)
      side = math.ceil(side / stride) if block == 0 else side
      count += side**2 * inner * kernel**2
      count += 2 * inner * max(1, channels // 4)
      count += side**2 * inner * features(out)
      channels = features(out)
  return count + side**2 * channels * features(1280) + features(1280) * 1000


@pytest.mark.parametrize(
  ("band", "count", "inside"), [(0.05, 55, 53), (0.1, 111, 108)]
)
def test_the_grid_of_the_formula_is_that_of_whole_numbers(band, count, inside):
  """With the factors in twentieths, a ratio is a whole number of 20^-5."""
  unit, bound = 20**5, round(band * 20**5)
  exact = [
    (depth, width, resolution)
    for depth in range(20, 81)
    for width, resolution in itertools.product(range(20, 41), repeat=2)
    if abs(depth * width**2 * resolution**2 - 2 * unit) <= bound
  ]
  found = compound_scaling.candidates(compound_scaling.formula, band=band)
  assert [dataclasses.astuple(each) for each in found] == [
    (depth / 20, width / 20, resolution / 20)
    for depth, width, resolution in exact
  ]
  # Without the bounds of the band, and with a depth of at most 2.
  small = [
    (depth, width, resolution)
    for depth, width, resolution in exact
    if depth <= 40 and abs(depth * width**2 * resolution**2 - 2 * unit) < bound
  ]
  assert (len(found), len(small)) == (count, inside)


def test_the_published_factors_have_less_than_twice_the_cost():
  assert compound_scaling.formula(
    *dataclasses.astuple(PUBLISHED)
  ) == pytest.approx(1.920, abs=5e-4)


@pytest.mark.parametrize(
  ("accuracy", "macs", "expected"),
  # B0 of table 2, the target itself, twice and half of it.
  [
    (0.763, 0.39e9, 0.76435),
    (0.763, 0.40e9, 0.763),
    (1.0, 0.8e9, 0.95264),
    (1.0, 0.2e9, 1.0497),
  ],
)
def test_objective(accuracy, macs, expected):
  found = compound_scaling.objective(accuracy, macs=macs)
  assert found == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("name", ["efficientnet_b1", "efficientnet_b3"])
def test_real_ratios_of_the_published_networks(name):
  """B1 has 1.78 times the cost of B0; the formula gives 1.26."""
  options, spec = models.options(name), models.spec(name)
  factors = options["depth"], options["width"], spec.image_size / 224
  base = models.spec("efficientnet_b0")
  ratio = _count_blocks(*factors) / _count_blocks(1, 1, 1)
  assert ratio == pytest.approx(spec.gmacs / base.gmacs, rel=2e-3)
  assert ratio / compound_scaling.formula(*factors) > 1.25


@pytest.mark.slow
@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (1.1, 1.2, 1.1)])
def test_the_slow_count_is_that_of_the_traced_network(factors):
  depth, width, resolution = factors
  model = _model(depth, width)
  size = round(224 * resolution)
  flops = summary.flops_per_image(model, image_shape=(size, size, 3))
  assert _count_blocks(*factors) == flops / 2


def test_candidates_have_the_real_cost_of_rounded_networks():
  """Compared with a scan of the whole grid."""
  steps = [round(1 + n / 10, 9) for n in range(31)]
  base = _count_blocks(1, 1, 1)
  limits = (4.0, 2.0, 2.0)
  slow = [
    factors
    for factors in itertools.product(steps, repeat=3)
    if all(f <= limit for f, limit in zip(factors, limits, strict=True))
    and abs(_count_blocks(*factors) / base - 2) <= 0.1
  ]
  found = compound_scaling.candidates(_count_blocks, band=0.1, step=0.1)
  assert [dataclasses.astuple(each) for each in found] == sorted(slow)
  by_formula = compound_scaling.candidates(
    compound_scaling.formula, band=0.1, step=0.1
  )
  assert set(found) != set(by_formula)


def test_a_network_is_called_for_once():
  calls = []

  def macs(*factors):
    calls.append(factors)
    return compound_scaling.formula(*factors)

  compound_scaling.candidates(macs)
  assert len(calls) == len(set(calls))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"ratio": 1.0}, "ratio=1.0"),
    ({"step": 0.0}, "step=0.0"),
    ({"band": 0.001, "step": 0.3}, "give a larger band or a smaller step"),
  ],
)
def test_grids_without_networks_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    compound_scaling.candidates(compound_scaling.formula, **options)


def test_one_scaling_for_each_network():
  scalings = [Scaling(n / 10, 1.0, 1.0) for n in range(16, 25)]
  found = compound_scaling.distinct(
    scalings, lambda each: math.ceil(each.depth)
  )
  # Those that are rounded up to 2 and to 3; 2 and 2.1 are nearest to 2.
  assert found == [Scaling(2.0), Scaling(2.1)]


def test_the_family_has_the_powers():
  base, first, second = compound_scaling.family(PUBLISHED, members=3)
  assert (base, first) == (Scaling(), PUBLISHED)
  assert dataclasses.astuple(second) == pytest.approx((1.44, 1.21, 1.3225))
  with pytest.raises(ValueError, match="members is 0"):
    compound_scaling.family(PUBLISHED, members=0)


@pytest.mark.parametrize("dimension", compound_scaling.DIMENSIONS)
@pytest.mark.parametrize("ratio", [1.0, 2.0, 4.7])
def test_one_dimension_has_the_nearest_cost_of_all_factors(dimension, ratio):
  target = ratio * _count_blocks(1, 1, 1)
  found = compound_scaling.single(
    _count_blocks, dimension=dimension, target=target
  )
  tried = [
    dataclasses.replace(Scaling(), **{dimension: round(1 + n / 20, 9)})
    for n in range(200)
  ]
  distances = [
    abs(_count_blocks(*dataclasses.astuple(each)) - target) for each in tried
  ]
  assert found == tried[distances.index(min(distances))]


@pytest.mark.parametrize(
  ("dimension", "target", "message"),
  [
    ("deptth", 2.0, "depth"),
    ("width", 0.5, "not smaller"),
    ("depth", 2.0, "does not depend on its depth"),
  ],
)
def test_impossible_single_dimensions_are_refused(dimension, target, message):
  with pytest.raises(ValueError, match=message):
    compound_scaling.single(
      lambda depth, width, resolution: width, dimension=dimension, target=target
    )
