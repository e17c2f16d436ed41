"""The order of training examples: the example at each position of training.

Training is an endless sequence of positions. A part (a data set) contributes
its examples epoch after epoch. Each epoch has a new order, which follows from
(seed, epoch). A mixture draws from its parts by their weights: draw j of a part
with share w has the time (j + u) / w, where u in [0, 1) is a hash of (seed,
part, j). All draws are sorted by time. So every range of positions contains
each part in the proportion of its weight, up to a few draws, at irregular
positions. The example at any position is computed directly, without counting
from the start.

Balanced sampling is such a mixture: its parts are the classes, with equal
weights. Each class repeats an example only after all of its examples.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

# First word of the seeds of orders; the transforms have another.
_ORDER = 1
_GOLDEN = 0x9E3779B97F4A7C15


def line_up(
  positions: np.ndarray, *, seed: int, parts: Sequence[tuple[int, float]]
) -> tuple[np.ndarray, np.ndarray]:
  """The examples at some positions.

  Args:
    positions: (n,) int64 positions, from 0; fast for a short range.
    seed: of the orders and of the interleaving.
    parts: (number of examples, weight) of each part; one part unless it is a
      mixture. The examples are numbered part after part.

  Returns:
    The indices of the examples, and the epochs of their parts, (n,) int64 each.
  """
  weights = [weight for _, weight in parts]
  owners, draws = interleave(positions, seed=seed, weights=weights)
  indices, epochs = np.empty_like(draws), np.empty_like(draws)
  first, orders = 0, _orders(seed, tuple(size for size, _ in parts))
  for part, (size, _) in enumerate(parts):
    mine = np.flatnonzero(owners == part)
    epochs[mine], places = np.divmod(draws[mine], size)
    for epoch in np.unique(epochs[mine]).tolist():
      there = epochs[mine] == epoch
      indices[mine[there]] = first + orders[part](epoch)[places[there]]
    first += size
  return indices, epochs


def balanced_line_up(
  positions: np.ndarray, *, seed: int, groups: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
  """Like `line_up`, but each group of examples is drawn equally often.

  Args:
    positions, seed: as for `line_up`.
    groups: the examples of each group, (n_i,) int64, not empty. An example may
      be in several groups.

  Returns:
    The indices of the examples, and the number of complete passes over their
    group before, (n,) int64 each.
  """
  members = np.concatenate(groups)
  parts = [(len(group), 1.0) for group in groups]
  places, epochs = line_up(positions, seed=seed, parts=parts)
  return members[places], epochs


def interleave(
  positions: np.ndarray, *, seed: int, weights: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
  """The part at each position of a mixture, and the number of its draw.

  Args:
    positions: (n,) int64 positions, from 0; the complete range between the
      smallest and the largest one is computed.
    seed: of the hashes.
    weights: of the parts, positive; only their ratios matter.

  Returns:
    (n,) int64 the index of the part, and (n,) int64 the number of its draw: k
    if the part has k draws at earlier positions.
  """
  if len(weights) == 1 or not len(positions):
    return np.zeros_like(positions), np.array(positions)
  shares = np.asarray(weights, np.float64) / sum(weights)
  # The number of draws of a part before time t is t * share, plus or minus one.
  # So the time of position p is between p - slack and p + slack.
  slack = len(shares)
  start, stop = positions.min() - slack, positions.max() + 1 + slack
  least = np.maximum(np.floor(start * shares).astype(np.int64) - 1, 0)
  most = np.ceil(stop * shares).astype(np.int64) + 1
  draws = [np.arange(i, j) for i, j in zip(least, most, strict=True)]
  times = [
    (each + jitter(seed, part, each)) / shares[part]
    for part, each in enumerate(draws)
  ]
  owners = np.repeat(np.arange(len(draws)), [len(each) for each in draws])
  draws = np.concatenate(draws)
  # Stable: for equal times, the first part comes first.
  ranking = np.argsort(np.concatenate(times), kind="stable")
  # All omitted earlier draws have times before `start`.
  chosen = ranking[positions - least.sum()]
  return owners[chosen], draws[chosen]


def jitter(seed: int, part: int, draws: np.ndarray) -> np.ndarray:
  """(n,) float64 in [0, 1), uniform and independent."""
  key = _mix(np.asarray([seed], np.uint64), part + 1)
  hashed = _mix(key ^ _mix(draws.astype(np.uint64), 0), 1)
  return (hashed >> np.uint64(11)) * 2.0**-53


def _mix(values: np.ndarray, stream: int) -> np.ndarray:
  """SplitMix64 (Steele, Lea and Flood 2014, figure 17) of uint64 arrays."""
  values = values + np.uint64((stream * _GOLDEN + _GOLDEN) % 2**64)
  values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return values ^ (values >> np.uint64(31))


# Several threads make consecutive batches, so the orders of two epochs of each
# part are cached.
@functools.lru_cache(maxsize=32)
def _orders(
  seed: int, sizes: tuple[int, ...]
) -> tuple[Callable[[int], np.ndarray], ...]:
  orders = (
    functools.partial(_permutation, seed, part, size)
    for part, size in enumerate(sizes)
  )
  return tuple(map(functools.lru_cache(maxsize=2), orders))


def _permutation(seed: int, part: int, size: int, epoch: int) -> np.ndarray:
  # The first part (0) has the same order as (seed, epoch) alone: zeros at the
  # end of a seed have no effect.
  rng = np.random.Generator(np.random.Philox((_ORDER, seed, epoch, part)))
  order = rng.permutation(size)
  return order.astype(np.uint32) if size <= 2**32 else order
