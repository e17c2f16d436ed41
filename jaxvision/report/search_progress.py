"""The progress of searches: the best children so far, over seeds.

As Figure 6 of Zoph et al. 2018, Learning Transferable Architectures for
Scalable Image Recognition: the best value so far, and the means of the best 5
and of the best 25.
"""

import dataclasses
import heapq
import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from jaxvision.report import significance
from jaxvision.runs.search_folder import Child, Part, Search, children

TOPS = (1, 5, 25)


@dataclasses.dataclass(frozen=True)
class Progress:
  """The progress of a searcher.

  Attributes:
    seeds: (n,) number of searches that have so many children.
    mean: (n,) mean over these searches, after 1, 2, ... children; NaN before
      all of them have enough complete children.
    half: (n,) half-width of the 95 % interval of the mean; NaN for one search.
  """

  seeds: np.ndarray
  mean: np.ndarray
  half: np.ndarray


def by_searcher(search: Search) -> dict[str, list[Part]]:
  """The started searches of each searcher, in the order of the definition."""
  found: dict[str, list[Part]] = {}
  for part in search.parts:
    if part.sweep and part.sweep.trials:
      found.setdefault(part.searcher, []).append(part)
  return found


def ended(part: Part) -> list[Child]:
  """The children of a search that have ended, in the order of proposals."""
  return [each for each in children(part.sweep) if each.state != "running"]


def measure(
  searches: Sequence[Sequence[tuple[Hashable, float | None]]],
  *,
  top: int,
  sign: int,
) -> Progress:
  """Returns the progress of a searcher.

  Args:
    searches: (identity, value) of the children of each search in order; None
      for a child without a value.
    top: number of the best children whose mean is taken.
    sign: 1 if larger values are better, -1 if smaller ones are.
  """
  curves = [means_of_best(each, top=top, sign=sign) for each in searches]
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
  """
  best: list[float] = []
  seen, means = set(), []
  for identity, value in children:
    if value is not None and identity not in seen:
      seen.add(identity)
      if len(best) < top:
        heapq.heappush(best, sign * value)
      else:
        heapq.heappushpop(best, sign * value)
    means.append(sign * sum(best) / top if len(best) == top else math.nan)
  return np.array(means)


def last(progress: Progress) -> tuple[float, float]:
  """Mean and half-width at the last number that all searches have reached."""
  if not len(progress.seeds):
    return math.nan, math.nan
  n = int((progress.seeds == progress.seeds[0]).sum()) - 1
  return float(progress.mean[n]), float(progress.half[n])


def values(
  parts: Sequence[Part], identities: Mapping[str, Sequence[Hashable]]
) -> list[list[tuple[Hashable, float | None]]]:
  """(identity, value) of the ended children of each search.

  Args:
    parts: the searches of one searcher.
    identities: name of the search -> identity of each ended child.
  """
  return [
    [
      (identity, child.value)
      for identity, child in zip(
        identities[part.name], ended(part), strict=True
      )
    ]
    for part in parts
  ]
