"""Proposals of the searchers that learn from the history, as points of a space.

The decisions are the drawn axes of the space. Each combination of the crossed
axes, without the seed and the fold, is a search of its own with its own
history.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

from jaxvision.sweeps import search
from jaxvision.sweeps.experiment import searchers, space
from jaxvision.sweeps.experiment.axes import Choice, Space
from jaxvision.sweeps.experiment.searchers import Planned

Picks = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Search:
  """A searcher on a space.

  Attributes:
    space: the search space.
    decisions: its drawn axes by name.
    searcher: the searcher.
    seed: seed of the draws.
    repeated: the names of the axes that repeat a setting.
    identify: maps the crossed picks, as a tuple of pairs, and the indices of
      the labels to a key, which is equal for equal settings.
  """

  space: Space
  decisions: Mapping[str, Choice]
  searcher: search.Searcher
  seed: int
  repeated: Collection[str]
  identify: Callable[[tuple, Picks], Hashable]


def open_search(
  search_space: Space, *, searcher: str, seed: int
) -> Search | None:
  """Returns the search of a searcher that learns; None for other searchers.

  Raises:
    ValueError: the searcher is unknown, or does not accept the options.
  """
  found = searchers.find(searcher)
  decisions = space.drawn(search_space)
  if found is None or not decisions:
    return None

  @functools.cache  # A genotype takes a millisecond, and is asked for often.
  def identify(fixed: tuple, picks: Picks) -> Hashable:
    known = dict(fixed) | _labels(decisions, picks)

    def pick(name: str, axis: Choice) -> Any:
      # The other names are those of repetitions.
      return known[name] if name in known else axis.labels[0]

    return space.identity(search_space, space.resolve(search_space, pick))

  repeated = space.repetitions(search_space)
  return Search(search_space, decisions, found, seed, repeated, identify)


def propose(
  asked: Search,
  fixed: Mapping[str, Any],
  ended: Sequence[search.Child],
  running: Sequence[search.Child],
) -> search.Child:
  """Returns the next child of a search, without a value.

  Args:
    asked: the search.
    fixed: the picks of the crossed axes.
    ended: children with the same crossed picks that have ended, in the order in
      which they ended.
    running: the others that were proposed.
  """
  number = len(ended) + len(running)
  key = tuple(fixed.items())
  proposal = asked.searcher.propose(
    tuple(len(axis.labels) for axis in asked.decisions.values()),
    ended,
    running,
    seed=asked.seed,
    number=number,
    identify=lambda picks: asked.identify(key, picks),
  )
  return search.Child(number, proposal.picks, notes=proposal.notes)


def labels(asked: Search, picks: Sequence[int]) -> dict[str, Any]:
  """{name of the decision: label} of a child."""
  return _labels(asked.decisions, picks)


def preview(
  search_space: Space,
  planned: Sequence[Planned],
  *,
  searcher: str,
  draws: int,
  seed: int,
) -> Sequence[Planned]:
  """Returns the trials of a plan whose picks are known before the sweep.

  Args:
    search_space: the search space.
    planned: the plan.
    searcher, draws, seed: as for `searchers.plan`.

  Returns:
    The whole plan; for a searcher that proposes from the history, the first
    trials, which do not depend on any result.
  """
  asked = open_search(search_space, searcher=searcher, seed=seed)
  if asked is None:
    return planned
  count = len(planned) // draws * min(draws, asked.searcher.known)
  known = []
  searches: dict[tuple, list[search.Child]] = {}
  for each in planned[:count]:
    fixed = {k: v for k, v in each.picks.items() if k not in asked.repeated}
    children = searches.setdefault(tuple(fixed.items()), [])
    if each.leader is None:
      children.append(propose(asked, fixed, [], children))
    drawn = labels(asked, children[-1].picks)
    known.append(Planned({**each.picks, **drawn}))
  return known


def _labels(
  decisions: Mapping[str, Choice], picks: Sequence[int]
) -> dict[str, Any]:
  return {
    name: axis.labels[i]
    for (name, axis), i in zip(decisions.items(), picks, strict=True)
  }
