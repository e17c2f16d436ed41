"""Tests of jaxvision.plan.advice: the trials, with a memory model."""

import jax
import pytest
import tiny_runs

from jaxvision.plan import advice, compilation

_CAPACITY = 1000


@pytest.fixture
def config(tmp_path):
  return tiny_runs.load_config(tmp_path, train__batch_size=64)


def _figures(total, config, *, data=8, fsdp=1):
  state = dict.fromkeys(("parameters", "optimizer", "average", "batch"), 0)
  return compilation.Figures(
    mesh={"replica": 1, "data": data, "fsdp": fsdp},
    batch_size=config.train.batch_size,
    state={**state, "parameters": 200 // fsdp},
    padding=0,
    temporaries=total - 200 // fsdp,
    program=0,
    capacity=_CAPACITY,
    flops=1.0,
    peak_flops=None,
    sent={},
    refused="",
    seconds=0.0,
  )


def _measure(per_example, tried=None):
  """A memory model: 200 of state, and a part for each example of a device."""

  def measure(config):
    if tried is not None:
      tried.append(config)
    if config.train.remat == "blocks":
      raise ValueError("no blocks")
    split = config.mesh.fsdp == 8
    examples = config.train.batch_size // 8 // config.train.accumulate
    half = 2 if config.precision.compute == "bfloat16" else 1
    total = (25 if split else 200) + per_example * examples // half
    return _figures(total, config, **({"data": 1, "fsdp": 8} if split else {}))

  return measure


def test_changes_are_added_until_it_fits(config):
  """8 examples of 500 are 4200; 8 halves 2025; 4 halves 1025; 2, 525."""
  measure = _measure(500)
  trials = advice.until_it_fits(config, measure(config), measure, tries=9)
  compiled = [each.figures for each in trials if each.figures]
  assert [each.total for each in compiled] == [
    4025,
    2025,
    2025,
    1025,
    525,
  ]
  assert [each.fits for each in compiled] == [False] * 4 + [True]
  assert trials[-1].changes == {
    "mesh.fsdp": 8,
    "mesh.data": 1,
    "precision.compute": "bfloat16",
    "train.accumulate": 4,
  }


def test_a_change_that_saves_nothing_is_left_out(config):
  """Rematerialisation of this model saves nothing."""
  measure = _measure(500)
  trials = advice.until_it_fits(config, measure(config), measure, tries=9)
  assert trials[2].changes["train.remat"] == "products"
  assert "train.remat" not in trials[4].changes


def test_an_impossible_change_is_left_out_with_its_reason(config):
  measure = _measure(500)
  trials = advice.until_it_fits(config, measure(config), measure, tries=9)
  (left_out,) = [each for each in trials if each.figures is None]
  assert left_out.changes["train.remat"] == "blocks"
  assert left_out.reason == "no blocks"
  assert trials[-1].fits


def test_an_impossible_batch_bounds_the_search(config):
  """Up to 500 examples a device, the run is long enough for its warm-up."""
  tried = []

  def measure(config):
    tried.append(config.train.batch_size // 8)
    if tried[-1] > 500:
      raise ValueError("a warm-up of 10000 steps does not fit")
    return _figures(200 + tried[-1], config)

  trials = advice.largest_batch(config, measure(config), measure, tries=9)
  assert trials[0].changes == {"train.batch_size": 8 * 800}
  assert "warm-up" in trials[0].reason
  fits = [each.changes["train.batch_size"] for each in trials if each.fits]
  assert 500 / 1.25 <= max(fits) / 8 <= 500


def test_a_compiler_that_fails_leaves_the_variant_out(config):
  def measure(config):
    if config.train.batch_size > 64:
      raise jax.errors.JaxRuntimeError("INTERNAL: no tiling")
    return _figures(900, config)

  trials = advice.largest_batch(config, measure(config), measure, tries=3)
  assert trials
  assert all("no tiling" in each.reason for each in trials)


def test_no_more_is_tried_than_allowed(config):
  measure = _measure(10**6)
  trials = advice.until_it_fits(config, measure(config), measure, tries=2)
  assert len(trials) == 2


@pytest.mark.parametrize(
  ("per_example", "largest"), [(1, 8 * 800), (100, 8 * 8), (500, 8)]
)
def test_the_largest_batch_is_found_where_memory_is_linear(
  config, per_example, largest
):
  """(1000 - 200) / 100 a device is eight examples: the config's own 64."""
  measure = _measure(per_example)
  first = measure(config)
  trials = advice.largest_batch(config, first, measure, tries=8)
  figures = [first, *(each.figures for each in trials)]
  fits = [each.batch_size for each in figures if each.fits]
  assert max(fits) == largest
  assert len(trials) <= 3


def test_where_it_is_not_linear_halves_are_taken(config):
  """A compiler that reduces memory: 40 examples per device fit, 41 do not."""
  tried = []

  def measure(config):
    tried.append(config.train.batch_size // 8)
    return _figures(900 if tried[-1] <= 40 else 1001 + tried[-1], config)

  first = measure(config)
  trials = advice.largest_batch(config, first, measure, tries=20)
  fits = max(n for n in tried if n <= 40)
  least = min((n for n in tried if n > 40), default=None)
  assert least is not None
  assert least <= 1.25 * fits
  assert len(set(tried)) == len(trials) + 1


def test_nothing_fits(config):
  measure = _measure(10**6)
  trials = advice.largest_batch(config, measure(config), measure, tries=8)
  assert trials[-1].changes == {"train.batch_size": 8}
  assert not any(each.figures.fits for each in trials)
