"""Which points of a space are tried, and in what order.

A plan is a list: the picks of each trial that are known beforehand. `grid`,
`random` and `quasi_random` know all of them, so that a trial is the same
whoever runs it, and a plan can be read before it is begun. `tpe` leaves what is
drawn to Optuna, which learns from the trials that have ended.
"""

import dataclasses
import shlex
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvision import lookup
from jaxvision.sweeps.experiment import axes, space
from jaxvision.sweeps.experiment.axes import Choice, Range, Space

Places = Callable[[int, str], float]
SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Planned:
  """A trial to come.

  Attributes:
    picks: those that are known.
    leader: the number of the trial whose picks it takes, all but the crossed
      ones; None where it has none. The seeds of a point have the first as
      leader, so that they try the same.
  """

  picks: dict[str, Any]
  leader: int | None = None


def plan(
  what: Space, *, searcher: str, draws: int, seed: int = 0
) -> list[Planned]:
  """The trials of a sweep.

  Args:
    what: the space.
    searcher: a name of `SEARCHERS`.
    draws: how often is drawn what is drawn; each draw meets all crossings. A
      grid, and a space in which nothing is drawn, has its points only.
    seed: of the draws.

  Raises:
    ValueError: an unknown searcher, no draw, or a range in a grid.
  """
  if searcher not in SEARCHERS:
    raise ValueError(lookup.unknown("searcher", searcher, SEARCHERS))
  if draws < 1:
    raise ValueError(f"--trials {draws} tries nothing; give at least 1")
  return SEARCHERS[searcher](what, draws, seed)


def text(what: Space, planned: Planned) -> str:
  """The overrides of a trial, as on the command line; what is known of them."""
  missing = []

  def pick(name: str, axis: Range | Choice) -> Any:
    if name not in planned.picks:
      missing.append(name)
    return planned.picks.get(name, axes.extremes(axis)[0])

  point = space.resolve(what, pick)
  if not missing:
    return "  ".join(
      shlex.quote(f"--config.{k}={v}") for k, v in point.overrides.items()
    )
  known = "  ".join(f"{name}={value}" for name, value in planned.picks.items())
  return f"{known}  (the rest is chosen as it goes)".strip()


def _grid(what: Space, draws: int, seed: int) -> list[Planned]:
  del draws, seed
  return [Planned(picks) for picks in space.crossings(what, everything=True)]


def _random(what: Space, draws: int, seed: int) -> list[Planned]:
  def place(draw: int, name: str) -> float:
    rng = np.random.default_rng([seed, draw, zlib.crc32(name.encode())])
    return rng.random()

  return _drawn(what, draws, place)


def _quasi_random(what: Space, draws: int, seed: int) -> list[Planned]:
  from scipy.stats import qmc

  names = list(space.drawn(what))
  if not names:
    return _drawn(what, draws, lambda draw, name: 0.0)
  sequence = qmc.Sobol(len(names), seed=seed)
  # A power of two, of which the sequence is balanced.
  points = sequence.random_base2(max(draws - 1, 1).bit_length())
  return _drawn(what, draws, lambda draw, name: points[draw, names.index(name)])


def _tpe(what: Space, draws: int, seed: int) -> list[Planned]:
  del seed
  cells = list(space.crossings(what))
  planned = []
  for _ in range(draws if space.drawn(what) else 1):
    first: dict[tuple, int] = {}
    for picks in cells:
      point = tuple(each for each in picks.items() if each[0] != SEED)
      leader = first.setdefault(point, len(planned))
      own = leader == len(planned)
      planned.append(Planned(picks, None if own else leader))
  return planned


def _drawn(what: Space, draws: int, place: Places) -> list[Planned]:
  """Each draw with each crossing; the same draw for all of these."""
  cells = list(space.crossings(what))
  return [
    Planned(_complete(what, picks, draw, place))
    for draw in range(draws if space.drawn(what) else 1)
    for picks in cells
  ]


def _complete(
  what: Space, picks: Mapping[str, Any], draw: int, place: Places
) -> dict[str, Any]:
  def pick(name: str, axis: Range | Choice) -> Any:
    if name in picks:
      return picks[name]
    return axes.at(axis, place(draw, name))

  return space.resolve(what, pick).picks


SEARCHERS: Mapping[str, Callable[[Space, int, int], list[Planned]]] = {
  "grid": _grid,
  "random": _random,
  "quasi_random": _quasi_random,
  "tpe": _tpe,
}
