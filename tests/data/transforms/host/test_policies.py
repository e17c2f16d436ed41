import collections

import numpy as np
import pytest
from scipy import stats

from jaxvision import lookup
from jaxvision.data.transforms.host import magnitudes, operations, policies

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
VERSIONS = policies.VERSIONS


def drawn(version, *, n=2, magnitude=9, images=4000):
  rng = np.random.default_rng(0)
  return [
    policies.draw_randaugment(rng, VERSIONS[version], n, magnitude)
    for _ in range(images)
  ]


@pytest.mark.parametrize(
  ("version", "number"), [("paper", 14), ("google", 16), ("timm", 15)]
)
def test_randaugment_draws_all_operations_equally_often(version, number):
  counts = collections.Counter(
    name for each in drawn(version) for name, _ in each
  )
  assert len(counts) == number == len(VERSIONS[version].scales)
  assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_randaugment_draws_pairs_independently():
  # With replacement: all 14^2 ordered pairs, equal ones too.
  pairs = collections.Counter(
    tuple(name for name, _ in each) for each in drawn("paper", images=20_000)
  )
  assert len(pairs) == 14**2
  assert stats.chisquare(list(pairs.values())).pvalue > 0.001


def test_timm_leaves_out_half():
  lengths = np.bincount([len(each) for each in drawn("timm")])
  assert stats.chisquare(lengths, (1000, 2000, 1000)).pvalue > 0.001


# The value of each version for a magnitude, by its formulas: authors' code (16
# operations), torchvision (14; 10 here are 30 there) and timm.
MEANT = (
  ("google", 15, "rotate", {45, -45}),
  ("google", 15, "posterize", {6}),
  ("google", 9, "posterize", {3}),
  ("google", 15, "solarize", {384}),
  ("google", 15, "brightness", {2.8}),
  ("google", 10, "shear_x", {0.3, -0.3}),
  ("google", 10, "translate_y_pixels", {100, -100}),
  ("google", 10, "cutout", {80}),
  ("google", 10, "solarize_add", {110}),
  ("paper", 3, "rotate", {9, -9}),
  ("paper", 3, "posterize", {7}),
  ("paper", 10, "posterize", {4}),
  ("paper", 10, "solarize", {0}),
  ("paper", 10, "contrast", {0.1, 1.9}),
  ("paper", 10, "translate_x", {150 / 331, -150 / 331}),
  ("paper", 7, "equalize", {0}),
)


@pytest.mark.parametrize(("version", "magnitude", "name", "values"), MEANT)
def test_magnitudes_map_to_the_published_values(
  version, magnitude, name, values
):
  draws = drawn(version, magnitude=magnitude, n=1, images=1500)
  seen = collections.Counter(
    round(value, 9) for each in draws for other, value in each if other == name
  )
  assert set(seen) == {round(value, 9) for value in values}
  # Both signs, equally often.
  assert len(seen) == 1 or stats.chisquare(list(seen.values())).pvalue > 0.001


def test_timm_scatters_the_magnitude():
  angles = [
    abs(value)
    for each in drawn("timm", magnitude=5, images=20_000)
    for name, value in each
    if name == "rotate"
  ]
  # 3 degrees each, standard deviation 0.5.
  assert stats.kstest(angles, stats.norm(15, 1.5).cdf).pvalue > 0.001


def test_timm_scatters_up_to_the_largest():
  angles = [
    abs(value)
    for each in drawn("timm", magnitude=10, images=4000)
    for name, value in each
    if name == "rotate"
  ]
  assert max(angles) == 30 and 0.4 < np.mean(np.array(angles) == 30) < 0.6


def test_trivialaugment_draws_operations_and_strengths_equally_often():
  rng = np.random.default_rng(0)
  draws = [policies.draw_trivialaugment(rng) for _ in range(31 * 14 * 40)]
  names = collections.Counter(name for name, _ in draws)
  assert len(names) == 14
  assert stats.chisquare(list(names.values())).pvalue > 0.001
  angles = np.array([value for name, value in draws if name == "rotate"])
  # 31 strengths, 4.5 degrees apart, up to 135, with both signs.
  steps = np.rint(np.abs(angles) / 4.5).astype(int)
  np.testing.assert_allclose(np.abs(angles), 4.5 * steps)
  assert stats.chisquare(np.bincount(steps, minlength=31)).pvalue > 0.001
  positive = (angles > 0).sum(), (angles < 0).sum()
  assert stats.chisquare(positive).pvalue > 0.001


def test_trivialaugment_is_wide():
  rng = np.random.default_rng(0)
  values = collections.defaultdict(set)
  for _ in range(20_000):
    name, value = policies.draw_trivialaugment(rng)
    values[name].add(value)
  assert values["posterize"] == set(range(2, 9))
  for name, low, high in (
    ("shear_x", -0.99, 0.99),
    ("translate_y_pixels", -32, 32),
    ("brightness", 0.01, 2),
    ("solarize", 0, 256),
  ):
    assert min(values[name]) == low and max(values[name]) == high


@pytest.mark.parametrize("name", operations.OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_works_at_every_strength(name, channels):
  image = IMAGE[..., :channels]
  tables = magnitudes.PAPER, magnitudes.GOOGLE, magnitudes.TIMM, magnitudes.WIDE
  scales = [table[name] for table in tables if name in table]
  assert scales
  for scale in scales:
    for strength in (0, 0.3, 1):
      value = magnitudes.draw_value(np.random.default_rng(0), scale, strength)
      out = operations.apply(
        np.random.default_rng(0), image, [(name, value)], 128
      )
      assert out.shape == image.shape and out.dtype == np.uint8


@pytest.mark.parametrize("version", ["paper", "timm"])
def test_no_strength_is_no_change(version):
  for name, scale in VERSIONS[version].scales.items():
    if name in ("auto_contrast", "equalize", "invert"):
      continue
    if (version, name) == ("timm", "posterize"):
      continue  # begins with 4 bits
    value = magnitudes.draw_value(np.random.default_rng(0), scale, 0)
    out = operations.OPERATIONS[name](value, 128)(None, IMAGE)
    np.testing.assert_array_equal(out, IMAGE)


def test_operations_are_applied_in_order():
  steps = [("rotate", 90.0), ("shear_x", 0.4)]
  together = operations.apply(None, IMAGE, steps, 7)
  apart = operations.apply(None, IMAGE, steps[:1], 7)
  apart = operations.apply(None, apart, steps[1:], 7)
  np.testing.assert_array_equal(together, apart)
  swapped = operations.apply(None, IMAGE, steps[::-1], 7)
  assert (together != swapped).any()


def test_randaugment_applies_the_drawn_transforms():
  transform = policies.random_randaugment(3, magnitude=6)
  for seed in range(20):
    steps = policies.draw_randaugment(
      np.random.default_rng(seed), VERSIONS["paper"], 3, 6
    )
    np.testing.assert_array_equal(
      transform(np.random.default_rng(seed), IMAGE),
      operations.apply(None, IMAGE, steps, 128),
    )


def test_3augment_draws_each_of_three_equally_often():
  rng = np.random.default_rng(0)
  # With very little jitter, the three can be distinguished.
  transform = policies.random_3augment(color_jitter=1e-9)
  kinds = collections.Counter()
  for _ in range(1500):
    out = transform(rng, IMAGE)
    if (np.ptp(out, axis=2) == 0).all():
      kinds["grey"] += 1
    elif (out <= 128).all():
      kinds["solarized"] += 1
    else:
      kinds["blurred"] += 1
  assert stats.chisquare(list(kinds.values())).pvalue > 0.001


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"version": "tim"}, "unknown version 'tim'; did you mean 'timm'"),
    ({"magnitude": 15}, "magnitude is 15.0; for 'paper' it must be at most 10"),
    ({"n": 0}, r"n is 0; it must be a whole number in \[1, 20\]"),
    ({"fill": 300}, r"fill is 300; it must be a whole number in \[0, 255\]"),
  ],
)
def test_wrong_arguments_are_explained(options, message):
  with pytest.raises(ValueError, match=message):
    lookup.bind(policies.random_randaugment, options, "here")()
