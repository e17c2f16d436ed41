"""Searchers: the points of a search space that a sweep tries, in order.

A plan is a list with the known picks of each trial. `grid`, `random` and
`quasi_random` know all picks before the sweep starts: a trial is the same on
any worker, and the plan can be printed first. The others learn from the trials
that have ended, and draw the other picks when a worker claims a trial: Optuna
does it for `tpe`, and a function of the history for the searchers of
`jaxvision.sweeps.search`.

Optuna's GridSampler, RandomSampler and QMCSampler do not replace the first
three: they draw at the start of a trial, and so the picks depend on which
worker is first. `quasi_random` uses the Sobol sequence of scipy, as QMCSampler
does.
"""

import dataclasses
import shlex
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvision import lookup
from jaxvision.sweeps import search
from jaxvision.sweeps.experiment import axes, space
from jaxvision.sweeps.experiment.axes import Choice, Range, Space

Places = Callable[[int, str], float]


@dataclasses.dataclass(frozen=True)
class Planned:
  """A planned trial.

  Attributes:
    picks: the picks that are known before the sweep starts.
    leader: the number of the trial from which this one copies the drawn picks;
      None if it draws its own. All seeds and folds of a point copy from the
      first one, so they train the same setting.
  """

  picks: dict[str, Any]
  leader: int | None = None


def plan(
  search_space: Space, *, searcher: str, draws: int, seed: int = 0
) -> list[Planned]:
  """Returns the trials of a sweep.

  Args:
    search_space: the search space.
    searcher: a name in `NAMES`, with options as in
      "evolution(population=50)".
    draws: number of draws. Each draw is combined with all crossed values. It
      is ignored for a grid, and for a space without drawn axes.
    seed: seed of the draws.

  Raises:
    ValueError: the searcher is unknown or has another option, `draws` is below
      1, a grid has a range, or a searcher of choices has one.
  """
  learning = find(searcher)
  if draws < 1:
    raise ValueError(f"--trials {draws}: give at least 1 trial")
  if learning:
    _check_choices(search_space, searcher)
    return _drawn_later(search_space, draws, seed)
  return _PLANS[name_of(searcher)](search_space, draws, seed)


def name_of(searcher: str) -> str:
  """The name of a searcher: "evolution" of "evolution(population=50)"."""
  return searcher.partition("(")[0].strip()


def find(searcher: str) -> search.Searcher | None:
  """Returns a searcher that proposes children from the history.

  Args:
    searcher: a name in `NAMES`, with its options.

  Returns:
    The searcher; None for one of Optuna, and for a list that is known before.

  Raises:
    ValueError: the searcher is unknown, or does not accept the options.
  """
  if name_of(searcher) in _PLANS and name_of(searcher) != searcher:
    raise ValueError(
      f"--searcher {searcher!r}: {name_of(searcher)} has no options; write "
      f"--searcher {name_of(searcher)}"
    )
  without = dict.fromkeys(_PLANS, lambda: None)
  functions = {**without, **search.SEARCHERS}
  return lookup.call(searcher, functions=functions, kind="searcher")


def text(search_space: Space, planned: Planned) -> str:
  """The overrides of a trial as flags, or its known picks before a draw."""
  missing = []

  def pick(name: str, axis: Range | Choice) -> Any:
    if name not in planned.picks:
      missing.append(name)
    return planned.picks.get(name, axes.extremes(axis)[0])

  point = space.resolve(search_space, pick)
  if not missing:
    return "  ".join(
      shlex.quote(f"--config.{k}={v}") for k, v in point.overrides.items()
    )
  known = "  ".join(f"{name}={value}" for name, value in planned.picks.items())
  return f"{known}  (the other values are drawn during the sweep)".strip()


def _grid(search_space: Space, draws: int, seed: int) -> list[Planned]:
  del draws, seed
  return [
    Planned(picks) for picks in space.crossings(search_space, everything=True)
  ]


def _random(search_space: Space, draws: int, seed: int) -> list[Planned]:
  def place(draw: int, name: str) -> float:
    rng = np.random.default_rng([seed, draw, zlib.crc32(name.encode())])
    return rng.random()

  return _drawn(search_space, draws, place)


def _quasi_random(search_space: Space, draws: int, seed: int) -> list[Planned]:
  from scipy.stats import qmc

  names = list(space.drawn(search_space))
  if not names:
    return _drawn(search_space, draws, lambda draw, name: 0.0)
  sequence = qmc.Sobol(len(names), seed=seed)
  # A Sobol sequence is balanced for powers of two.
  points = sequence.random_base2(max(draws - 1, 1).bit_length())
  return _drawn(
    search_space, draws, lambda draw, name: points[draw, names.index(name)]
  )


def _drawn_later(search_space: Space, draws: int, seed: int) -> list[Planned]:
  del seed
  cells = list(space.crossings(search_space))
  repeated, planned = space.repetitions(search_space), []
  for _ in range(draws if space.drawn(search_space) else 1):
    first: dict[tuple, int] = {}
    for picks in cells:
      point = tuple(each for each in picks.items() if each[0] not in repeated)
      leader = first.setdefault(point, len(planned))
      own = leader == len(planned)
      planned.append(Planned(picks, None if own else leader))
  return planned


def _drawn(search_space: Space, draws: int, place: Places) -> list[Planned]:
  """Combines each draw with all crossed values."""
  cells = list(space.crossings(search_space))
  return [
    Planned(_complete(search_space, picks, draw, place))
    for draw in range(draws if space.drawn(search_space) else 1)
    for picks in cells
  ]


def _complete(
  search_space: Space, picks: Mapping[str, Any], draw: int, place: Places
) -> dict[str, Any]:
  def pick(name: str, axis: Range | Choice) -> Any:
    if name in picks:
      return picks[name]
    return axes.at(axis, place(draw, name))

  return space.resolve(search_space, pick).picks


def _check_choices(search_space: Space, searcher: str) -> None:
  """Raises ValueError if a drawn axis is a range."""
  for name, axis in space.drawn(search_space).items():
    if isinstance(axis, Range):
      others = ", ".join(each for each in _PLANS if each != "grid")
      raise ValueError(
        f"--searcher {searcher}: {name} is a range from {axis.low} to "
        f"{axis.high}, and this searcher draws from lists: write "
        f"categorical(...) with the values, or use one of {others}"
      )


_PLANS: Mapping[str, Callable[[Space, int, int], list[Planned]]] = {
  "grid": _grid,
  "random": _random,
  "quasi_random": _quasi_random,
  "tpe": _drawn_later,
}
NAMES = (*_PLANS, *search.SEARCHERS)
