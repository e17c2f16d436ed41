import numpy as np
import pytest

from jaxvision.data.batches import order

SHARES = {
  "one": (1.0,),
  "even": (1, 1),
  "uneven": (3.0, 1.0),
  "rare": (1000.0, 1.0, 30.0),
  "many": tuple(range(1, 9)),
}


def slow_interleaving(seed, weights, count):
  """All draws of all parts, sorted by their times."""
  shares = np.asarray(weights) / sum(weights)
  times = sorted(
    ((draw + jitter) / share, part, draw)
    for part, share in enumerate(shares)
    for draw, jitter in enumerate(order.jitter(seed, part, np.arange(count)))
  )
  return [(part, draw) for _, part, draw in times[:count]]


@pytest.mark.parametrize("weights", SHARES.values(), ids=SHARES)
def test_a_part_of_the_order_equals_that_of_the_complete_order(weights):
  owners, draws = order.interleave(np.arange(500), seed=5, weights=weights)
  found = list(zip(owners.tolist(), draws.tolist(), strict=True))
  if len(weights) > 1:
    assert found == slow_interleaving(5, weights, 500)
  for start, stop in ((0, 1), (1, 2), (130, 260), (499, 500)):
    parts = order.interleave(np.arange(start, stop), seed=5, weights=weights)
    assert list(zip(*map(list, parts), strict=True)) == found[start:stop]
  scattered = np.asarray([400, 3, 77])
  parts = order.interleave(scattered, seed=5, weights=weights)
  assert list(zip(*map(list, parts), strict=True)) == [
    found[place] for place in scattered
  ]


@pytest.mark.parametrize("weights", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("start", [0, 12_345, 10**12])
def test_draws_of_a_part_come_in_their_order(weights, start):
  owners, draws = order.interleave(
    np.arange(start, start + 3000), seed=1, weights=weights
  )
  for part in range(len(weights)):
    mine = draws[owners == part]
    assert (np.diff(mine) == 1).all()
    if start == 0 and mine.size:
      assert mine[0] == 0


@pytest.mark.parametrize("weights", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("start", [0, 10**9])
def test_every_stretch_has_the_shares_of_the_weights(weights, start):
  shares = np.asarray(weights) / sum(weights)
  owners, _ = order.interleave(
    np.arange(start, start + 20_000), seed=2, weights=weights
  )
  counts = np.cumsum(owners[:, None] == np.arange(len(weights)), axis=0)
  for length in (10, 100, 1000, 10_000):
    stretches = counts[length:] - counts[:-length]
    off = np.abs(stretches - length * shares)
    # Both ends are off by less than a draw and the slack of the clock.
    assert off.max() < 2 * (1 + (len(weights) * shares).max())


def test_places_follow_no_pattern():
  owners, _ = order.interleave(np.arange(100_000), seed=0, weights=(1, 1))
  neighbours = np.bincount(2 * owners[:-1] + owners[1:], minlength=4) / 1e5
  # Alternation would give (0, 1/2, 1/2, 0), independence 1/4 each.
  assert (neighbours > 0.1).all()
  other, _ = order.interleave(np.arange(100_000), seed=1, weights=(1, 1))
  assert 0.4 < (owners == other).mean() < 0.6


def test_jitter_is_uniform_and_independent():
  jitter = order.jitter(0, 0, np.arange(100_000))
  counts, _ = np.histogram(jitter, bins=100, range=(0, 1))
  # Chi squared of 99 degrees of freedom: 148 in one of 1000 cases.
  assert ((counts - 1000) ** 2 / 1000).sum() < 148
  others = [order.jitter(1, 0, np.arange(100_000)), jitter[1:]]
  others.append(order.jitter(0, 1, np.arange(100_000)))
  for other in others:
    length = len(other)
    assert abs(np.corrcoef(jitter[:length], other)[0, 1]) < 0.013


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_epoch_is_a_different_permutation(size):
  places = np.arange(3 * size)
  indices, epochs = order.line_up(places, seed=4, parts=((size, 1.0),))
  np.testing.assert_array_equal(epochs, places // size)
  for epoch, found in enumerate(indices.reshape(3, size)):
    assert sorted(found) == list(range(size))
    rng = np.random.Generator(np.random.Philox((1, 4, epoch)))
    np.testing.assert_array_equal(found, rng.permutation(size))


def test_each_part_of_a_mixture_uses_all_its_examples():
  parts = ((50, 1.0), (7, 2.0), (300, 3.0))
  indices, epochs = order.line_up(np.arange(6000), seed=9, parts=parts)
  first = 0
  for size, weight in parts:
    mine = (indices >= first) & (indices < first + size)
    assert abs(mine.sum() - 1000 * weight) < 4
    found = indices[mine] - first
    for epoch in range(len(found) // size):
      of_epoch = found[epoch * size : (epoch + 1) * size]
      assert sorted(of_epoch) == list(range(size))
    np.testing.assert_array_equal(epochs[mine], np.arange(len(found)) // size)
    first += size


def test_the_line_up_depends_on_the_seed_and_the_part():
  def found(seed, parts):
    return order.line_up(np.arange(200), seed=seed, parts=parts)[0].tolist()

  alone, mixed = ((100, 1.0),), ((100, 1.0), (100, 1.0))
  assert found(0, alone) == found(0, alone) != found(1, alone)
  assert found(0, mixed) != found(1, mixed)
  both = np.asarray(found(0, mixed))
  first, second = both[both < 100][:50], both[both >= 100][:50] - 100
  assert first.tolist() != second.tolist()


def test_no_places_are_no_examples():
  indices, epochs = order.line_up(
    np.arange(0), seed=0, parts=((5, 1.0), (6, 1.0))
  )
  assert indices.shape == epochs.shape == (0,)
