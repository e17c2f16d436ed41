"""Regularised evolution (Real et al. 2019, arXiv 1802.01548, algorithm 1).

The population is the children that ended last. The oldest one leaves the
population when a child ends, also if it is the best (aging). The parent of a
new child is the best of some members that are drawn with replacement. The child
is a copy of its parent in which one decision has another label.
"""

from collections.abc import Sequence

import numpy as np

from jaxvision.lookup import ranges
from jaxvision.sweeps.search import contract
from jaxvision.sweeps.search.contract import (
  Child,
  Identify,
  Picks,
  Proposal,
  Searcher,
)


def evolution(
  *, population: ranges.Count = 100, sample: ranges.Count = 25
) -> Searcher:
  """Returns regularised evolution.

  A search of a few hundred children needs a smaller population: the first
  `population` children are random.

  Args:
    population: number of members; 100 in the paper.
    sample: number of members from which a parent is selected; 25 in the paper.
  """

  def propose(
    counts: Sequence[int],
    ended: Sequence[Child],
    running: Sequence[Child],
    *,
    seed: int,
    number: int,
    identify: Identify = tuple,
  ) -> Proposal:
    rng = np.random.default_rng([seed, number])
    members = ended[-population:]
    children = [*ended, *running]

    def draw() -> Proposal:
      if len(children) < population or not members:
        return Proposal(contract.draw_uniform(rng, counts), {"parent": None})
      parent = _select(rng, members, sample)
      return Proposal(
        _mutate(rng, parent.picks, counts), {"parent": parent.number}
      )

    return contract.distinct(draw, children, identify=identify)

  return Searcher(propose, known=population)


def _select(
  rng: np.random.Generator, members: Sequence[Child], sample: int
) -> Child:
  """The best of a sample; the first drawn of equal ones."""
  drawn = rng.integers(0, len(members), sample)
  return max((members[i] for i in drawn), key=lambda member: member.value)


def _mutate(
  rng: np.random.Generator, picks: Picks, counts: Sequence[int]
) -> Picks:
  """Gives one decision another label; decisions with one label keep it."""
  free = [place for place, count in enumerate(counts) if count > 1]
  if not free:
    return picks
  place = free[rng.integers(0, len(free))]
  # One of the other labels: those from the present one on move up by one.
  label = int(rng.integers(0, counts[place] - 1))
  label += label >= picks[place]
  return (*picks[:place], label, *picks[place + 1 :])
