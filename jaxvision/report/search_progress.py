"""The progress of searches: the best children so far, over seeds.

As Figure 6 of Zoph et al. 2018, Learning Transferable Architectures for
Scalable Image Recognition: the best value so far, and the means of the best 5
and of the best 25.
"""

import dataclasses
import functools
import heapq
import math
from collections.abc import Hashable, Sequence

import numpy as np

from jaxvision import genotypes
from jaxvision.report import significance
from jaxvision.runs import search_folder
from jaxvision.runs.search_folder import Child, Part, Search

TOPS = (1, 5, 25)


@dataclasses.dataclass(frozen=True)
class Found:
  """A child that has ended.

  Attributes:
    part: the search that proposed it.
    child: the child.
    identity: a key that is equal for equal settings and equivalent cells.
  """

  part: Part
  child: Child
  identity: Hashable


@dataclasses.dataclass(frozen=True)
class Progress:
  """The progress of a searcher.

  Attributes:
    searches: (n,) number of searches with 1, 2, ... children.
    mean: (n,) mean over these searches; NaN before all of them have enough
      complete children.
    half: (n,) half-width of the 95 % interval of the mean; NaN for one search.
  """

  searches: np.ndarray
  mean: np.ndarray
  half: np.ndarray


def by_searcher(search: Search) -> dict[str, list[list[Found]]]:
  """The ended children of each started search of each searcher.

  Children are in the order in which they were proposed.
  """
  found: dict[str, list[list[Found]]] = {}
  for part in search.parts:
    if part.sweep and part.sweep.trials:
      ended = [
        Found(part, child, _identify(search, child))
        for child in search_folder.children(part.sweep)
        if child.state != "running"
      ]
      found.setdefault(part.searcher, []).append(ended)
  return found


def measure(
  searches: Sequence[Sequence[Found]], *, top: int, sign: int
) -> Progress:
  """Returns the progress of a searcher.

  Args:
    searches: its searches, with their children in order.
    top: number of the best children whose mean is taken.
    sign: 1 if larger values are better, -1 if smaller ones are.
  """
  curves = [
    means_of_best(
      [(each.identity, each.child.value) for each in children],
      top=top,
      sign=sign,
    )
    for children in searches
  ]
  length = max(map(len, curves), default=0)
  columns = [[c[n] for c in curves if n < len(c)] for n in range(length)]
  return Progress(
    np.array([len(column) for column in columns]),
    np.array([np.mean(column) for column in columns]),
    np.array([significance.interval(np.array(each)) for each in columns]),
  )


def means_of_best(
  children: Sequence[tuple[Hashable, float | None]], *, top: int, sign: int
) -> np.ndarray:
  """(n,) mean of the best `top` different children so far.

  NaN before there are so many. An equivalent child counts once, with its first
  value.

  Args:
    children: (identity, value); None for a child without a value.
    top, sign: as for `measure`.
  """
  best: list[float] = []
  seen, means = set(), []
  for identity, value in children:
    if value is not None and identity not in seen:
      seen.add(identity)
      add = heapq.heappush if len(best) < top else heapq.heappushpop
      add(best, sign * value)
    means.append(sign * sum(best) / top if len(best) == top else math.nan)
  return np.array(means)


def last(progress: Progress) -> tuple[float, float]:
  """Mean and half-width at the last number that all searches have reached."""
  if not progress.searches.size:
    return math.nan, math.nan
  n = int((progress.searches == progress.searches[0]).sum()) - 1
  return float(progress.mean[n]), float(progress.half[n])


@functools.cache
def hash_of(space: str, genotype: str) -> str:
  """The hash of a genotype, which is equal for equivalent cells."""
  return genotypes.create(space).identify(genotype)


def _identify(search: Search, child: Child) -> Hashable:
  spaces = search.definition["genotypes"]
  return tuple(
    (key, hash_of(spaces[key], value) if key in spaces else str(value))
    for key, value in child.settings.items()
  )
