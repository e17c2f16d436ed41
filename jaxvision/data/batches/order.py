"""The line-up: which example stands at which place of an endless training.

A part lines up its examples epoch after epoch, each epoch in a new order that
follows from (seed, epoch). A mixture takes from the line-ups of its parts, by
their weights: draw j of a part of the share w stands at the time (j + u) / w,
with u in [0, 1) hashed from (seed, part, j), and the draws of all parts are
taken in the order of their times. So every stretch of the line-up has the
shares of the weights, give or take a few draws, at places that follow no
pattern; and any place is found at once, without counting from the start.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

# The first word of the seed; the transforms of images have another.
_ORDER = 1
_GOLDEN = 0x9E3779B97F4A7C15


def line_up(
  positions: np.ndarray, *, seed: int, parts: Sequence[tuple[int, float]]
) -> tuple[np.ndarray, np.ndarray]:
  """The examples at some places of the line-up.

  Args:
    positions: (n,) int64 places, from 0; best a short range.
    seed: of the orders and of the interleaving.
    parts: (number of examples, weight) of each part; one unless it is a
      mixture. The examples of the parts are numbered one part after the other.

  Returns:
    The numbers of the examples, and the epochs of their parts, (n,) int64 each.
  """
  weights = [weight for _, weight in parts]
  owners, draws = interleave(positions, seed=seed, weights=weights)
  indices, epochs = np.empty_like(draws), np.empty_like(draws)
  first = 0
  for part, (size, _) in enumerate(parts):
    epoch_order = _orders(seed, part, size)
    mine = np.flatnonzero(owners == part)
    epochs[mine], places = np.divmod(draws[mine], size)
    for epoch in np.unique(epochs[mine]).tolist():
      there = epochs[mine] == epoch
      indices[mine[there]] = first + epoch_order(epoch)[places[there]]
    first += size
  return indices, epochs


def interleave(
  positions: np.ndarray, *, seed: int, weights: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
  """The part at each place of a mixture, and how often it came before.

  Args:
    positions: (n,) int64 places, from 0; all between the least and the
      greatest are worked out.
    seed: of the places within their reach.
    weights: of the parts, positive; only their ratios count.

  Returns:
    (n,) int64 the number of the part, and (n,) int64 the number of its draw:
    k where the part stands at k earlier places.
  """
  if len(weights) == 1 or not len(positions):
    return np.zeros_like(positions), np.array(positions)
  shares = np.asarray(weights, np.float64) / sum(weights)
  # The count of a part before time t is t * share, less or plus one; so the
  # time of place p lies between p - slack and p + slack.
  slack = len(shares)
  start, stop = positions.min() - slack, positions.max() + 1 + slack
  least = np.maximum(np.floor(start * shares).astype(np.int64) - 1, 0)
  most = np.ceil(stop * shares).astype(np.int64) + 1
  draws = [np.arange(i, j) for i, j in zip(least, most, strict=True)]
  times = [
    (each + _jitter(seed, part, each)) / shares[part]
    for part, each in enumerate(draws)
  ]
  owners = np.repeat(np.arange(len(draws)), [len(each) for each in draws])
  draws = np.concatenate(draws)
  # Stable: of equal times the first part comes first.
  ranking = np.argsort(np.concatenate(times), kind="stable")
  # All draws that were left out at the start come before `start`.
  chosen = ranking[positions - least.sum()]
  return owners[chosen], draws[chosen]


def _jitter(seed: int, part: int, draws: np.ndarray) -> np.ndarray:
  """(n,) float64 in [0, 1), evenly spread and independent."""
  key = _mix(np.asarray([seed], np.uint64), part + 1)
  hashed = _mix(key ^ _mix(draws.astype(np.uint64), 0), 1)
  return (hashed >> np.uint64(11)) * 2.0**-53


def _mix(values: np.ndarray, stream: int) -> np.ndarray:
  """SplitMix64 (Steele, Lea and Flood 2014, figure 17), of uint64 arrays."""
  values = values + np.uint64((stream * _GOLDEN + _GOLDEN) % 2**64)
  values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return values ^ (values >> np.uint64(31))


# Batches of one epoch come one after the other, from several threads: two
# epochs of each part are kept.
@functools.lru_cache(maxsize=32)
def _orders(seed: int, part: int, size: int) -> Callable[[int], np.ndarray]:
  order = functools.partial(_permutation, seed, part, size)
  return functools.lru_cache(maxsize=2)(order)


def _permutation(seed: int, part: int, size: int, epoch: int) -> np.ndarray:
  # The seed of the first part is that of (seed, epoch): zeros at the end of a
  # seed change nothing.
  rng = np.random.Generator(np.random.Philox((_ORDER, seed, epoch, part)))
  order = rng.permutation(size)
  return order.astype(np.uint32) if size <= 2**32 else order
