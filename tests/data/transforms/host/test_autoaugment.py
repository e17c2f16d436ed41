import collections

import numpy as np
import pytest
from scipy import stats

from jaxvision.data.transforms.host import autoaugment, operations

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.mark.parametrize("name", autoaugment.POLICIES)
def test_policies_are_whole(name):
  searched = autoaugment.POLICIES[name]
  assert len(searched.policy) == 25
  for operation, p, magnitude in sum(searched.policy, ()):
    assert operation in searched.scales
    assert operation in operations.OPERATIONS
    assert round(10 * p) == pytest.approx(10 * p) and 0 <= p <= 1
    assert 0 <= magnitude <= searched.full


@pytest.mark.parametrize("name", autoaugment.POLICIES)
def test_operations_come_with_the_probabilities_of_the_policy(name):
  """Compares the draws with the expected count of every sequence."""
  searched, total = autoaugment.POLICIES[name], 20_000
  expected = collections.Counter()
  for (first, p, _), (second, q, _) in searched.policy:
    expected[(first, second)] += p * q * total / 25
    expected[(first,)] += p * (1 - q) * total / 25
    expected[(second,)] += (1 - p) * q * total / 25
    expected[()] += (1 - p) * (1 - q) * total / 25
  rng = np.random.default_rng(0)
  observed = collections.Counter(
    tuple(operation for operation, _ in drawn)
    for drawn in (
      autoaugment.draw_autoaugment(rng, searched) for _ in range(total)
    )
  )
  possible = [drawn for drawn, count in expected.items() if count > 1e-6]
  assert set(observed) <= set(possible)
  counts = [observed[drawn] for drawn in possible]
  wanted = [expected[drawn] for drawn in possible]
  assert stats.chisquare(counts, wanted).pvalue > 0.001


def test_magnitudes_of_the_paper():
  # Sub-policy 0 of Table 9: (posterize, 0.4, 8), (rotate, 0.6, 9).
  searched = autoaugment.POLICIES["imagenet"]
  only = autoaugment.Searched(
    searched.policy[:1], scales=searched.scales, full=searched.full
  )
  rng, values = np.random.default_rng(0), collections.Counter()
  for _ in range(1000):
    values.update(autoaugment.draw_autoaugment(rng, only))
  assert set(values) == {("posterize", 4), ("rotate", 30), ("rotate", -30)}
  assert abs(values[("rotate", 30)] - 300) < 5 * np.sqrt(300 * 0.7)
  assert abs(values[("posterize", 4)] - 400) < 5 * np.sqrt(400 * 0.6)


@pytest.mark.parametrize("name", autoaugment.POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_sub_policy_works(name, channels):
  image = IMAGE[..., :channels]
  transform = autoaugment.random_autoaugment(name)
  outs = [transform(np.random.default_rng(i), image) for i in range(100)]
  assert {(out.shape, out.dtype.name) for out in outs} == {
    (image.shape, "uint8")
  }
  assert len({out.tobytes() for out in outs}) > 10


def test_an_unknown_policy_names_the_nearest():
  with pytest.raises(ValueError, match="'imagnet'; did you mean 'imagenet'"):
    autoaugment.random_autoaugment("imagnet")
