"""The contract of a searcher: a pure function of the history of a search.

A space is a list of decisions, and each decision has some labels. A child is a
point of the space: one label of each decision, as an index. A searcher keeps no
state: a proposal depends on the space, the seed, the number of the child and
the history alone. A search that continues after a crash, in any process,
proposes the same children as a search without a crash.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

Picks = tuple[int, ...]
Identify = Callable[[Picks], Hashable]
# Proposals after which a searcher accepts a child that was proposed before.
ATTEMPTS = 100


@dataclasses.dataclass(frozen=True)
class Child:
  """A child of a search.

  Attributes:
    number: place in the order of the proposals, from 0.
    picks: index of the label of each decision.
    value: larger is better. -inf of a child that failed, NaN of a child that
      runs.
    notes: what the searcher noted at the proposal.
  """

  number: int
  picks: Picks
  value: float = math.nan
  notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Proposal:
  """A proposed child.

  Attributes:
    picks: index of the label of each decision.
    notes: facts that later proposals or a report need; JSON values.
  """

  picks: Picks
  notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Searcher:
  """A searcher.

  Attributes:
    propose: propose(counts, ended, running, *, seed, number, identify) ->
      `Proposal`. `counts` are the numbers of labels of the decisions. `ended`
      are the children that have ended, in the order in which they ended.
      `running` are the others. `number` is the number of the new child.
      `identify` maps picks to a key; picks with equal keys are the same child.
    known: the first so many children do not depend on any value.
  """

  propose: Callable[..., Proposal]
  known: int


def distinct(
  draw: Callable[[], Proposal],
  children: Collection[Child],
  *,
  identify: Identify,
) -> Proposal:
  """Draws until a child is new.

  The last of `ATTEMPTS` draws is accepted even if it was proposed before, so
  that a search of a small space ends.

  Args:
    draw: draws a proposal.
    children: the children that were proposed before.
    identify: as in `Searcher`.
  """
  known = {identify(child.picks) for child in children}
  for _ in range(ATTEMPTS):
    proposal = draw()
    if identify(proposal.picks) not in known:
      break
  return proposal


def draw_uniform(rng: np.random.Generator, counts: Sequence[int]) -> Picks:
  """Draws each label with equal probability."""
  return tuple(map(int, rng.integers(0, counts)))
