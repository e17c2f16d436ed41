"""Local search (White, Nolen, Savani 2020, arXiv 2005.02960).

A climb starts at a random child. Its neighbours differ in one decision. The
climb moves to the first neighbour that is better. At a local optimum, a new
climb starts. The paper evaluates all neighbours before it moves, or moves to
the first better one; this is the second form.

The climb is computed from the known values for each proposal. So a neighbour
whose value is known from another climb costs nothing. If a neighbour still
runs, the next one is proposed. If all of them run, an older climb continues, or
a new one starts.
"""

import functools
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from jaxvision.sweeps.search import contract
from jaxvision.sweeps.search.contract import (
  Child,
  Identify,
  Picks,
  Proposal,
  Searcher,
)


def local_search() -> Searcher:
  """Returns local search; it has no settings."""
  return Searcher(propose, known=1)


def propose(
  counts: Sequence[int],
  ended: Sequence[Child],
  running: Sequence[Child],
  *,
  seed: int,
  number: int,
  identify: Identify = tuple,
) -> Proposal:
  """Proposes a neighbour of the newest climb that has a new one, or a start."""
  values = {identify(child.picks): child.value for child in running}
  values |= {identify(child.picks): child.value for child in ended}
  children = [*ended, *running]
  starts = [each for each in children if each.notes["start"] == each.number]
  for start in sorted(starts, key=lambda each: -each.number):
    picks = climb(
      start.picks, values, counts=tuple(counts), seed=seed, identify=identify
    )
    if picks:
      return Proposal(picks, {"start": start.number})
  rng = np.random.default_rng([seed, number])
  return contract.distinct(
    lambda: Proposal(contract.draw_uniform(rng, counts), {"start": number}),
    children,
    identify=identify,
  )


def climb(
  start: Picks,
  values: Mapping[Hashable, float],
  *,
  counts: tuple[int, ...],
  seed: int,
  identify: Identify,
) -> Picks | None:
  """The first neighbour on a climb whose value is not known.

  Args:
    start: the start of the climb.
    values: value of each proposed child by its key; NaN of one that runs.
    counts: number of labels of each decision.
    seed: seed of the order of the neighbours.
    identify: as in `contract.Searcher`.

  Returns:
    The neighbour; None if the climb has reached a local optimum, or if it can
    only continue after a running child has ended.
  """
  here = start
  while True:
    for neighbour in _neighbours(here, counts, seed):
      value = values.get(identify(neighbour))
      if value is None:
        # The start itself may still run: then no neighbour is better yet.
        return neighbour if values[identify(here)] > -np.inf else None
      if value > values[identify(here)]:
        here = neighbour
        break
    else:
      return None


@functools.lru_cache(maxsize=4096)
def _neighbours(
  picks: Picks, counts: tuple[int, ...], seed: int
) -> tuple[Picks, ...]:
  """All neighbours of a child, in the random order of this child."""
  found = [
    (*picks[:place], label, *picks[place + 1 :])
    for place, count in enumerate(counts)
    for label in range(count)
    if label != picks[place]
  ]
  order = np.random.default_rng([seed, *picks]).permutation(len(found))
  return tuple(found[i] for i in order)
