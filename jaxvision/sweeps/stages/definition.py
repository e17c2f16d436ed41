"""Experiment files of searches: those of sweeps, with these names in addition.

SEARCHERS = ("controller", "random")   # each with all seeds of the search
SEARCH_SEEDS = 3
CHILDREN = 200                         # of each search
FINAL_OVERRIDES = {"train.duration": "50 epochs"}   # of the final stage
FINAL_SEEDS = 5

def final(ended):
  return {"best": ended[0].overrides}

All of them are optional; the values above are the defaults, except that the
default searchers are controller, evolution and random, and that there are no
overrides. `final` returns {label: {config key: value}}: the networks that the
final stage trains. `ended` is a list of `children.Ended`. Without the function,
the final stage trains the best child of each searcher.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxvision.lookup import options, ranges
from jaxvision.runs import search_folder
from jaxvision.runs.sweep_folder import SEED
from jaxvision.sweeps.experiment import axes, searchers, space
from jaxvision.sweeps.experiment import experiment as experiments
from jaxvision.sweeps.experiment.experiment import Experiment
from jaxvision.sweeps.workers import opening

_OPTIONAL = {
  "SEARCHERS": Sequence,
  "SEARCH_SEEDS": int,
  "CHILDREN": int,
  "FINAL_OVERRIDES": Mapping,
  "FINAL_SEEDS": int,
  "final": Callable,
}
_SEARCHERS = ("controller", "evolution", "random")
# Name of a constant -> (flag, default).
_COUNTS = {
  "SEARCH_SEEDS": ("search-seeds", 3),
  "CHILDREN": ("trials", 200),
  "FINAL_SEEDS": ("final-seeds", 5),
}


@dataclasses.dataclass(frozen=True)
class Part:
  """The search of one searcher with one seed.

  Attributes:
    name: of its folder.
    searcher: the searcher with its options.
    seed: seed of the search.
  """

  name: str
  searcher: str
  seed: int


@dataclasses.dataclass(frozen=True)
class Definition:
  """The definition of a search.

  Attributes:
    file: the experiment file.
    experiment: of the first stage.
    parts: the searches of the first stage, in the order in which they run: all
      searchers with the first seed, then with the second.
    children: number of draws of each search.
    final: the function of the file that names the networks of the final stage;
      None for the best child of each searcher.
    final_overrides: config values of all trials of the final stage.
    final_seeds: number of seeds of each network of the final stage.
  """

  file: str
  experiment: Experiment
  parts: tuple[Part, ...]
  children: int
  final: Callable[..., Mapping[str, Mapping[str, Any]]] | None
  final_overrides: Mapping[str, Any]
  final_seeds: int


def load(
  path: str | pathlib.Path,
  overrides: Mapping[str, Any] | None = None,
  *,
  replaced: Mapping[str, Any] | None = None,
) -> Definition:
  """Loads the definition of a search from an experiment file.

  Args:
    path: the Python file.
    overrides: config values of both stages, which replace those of the file.
    replaced: {"SEARCHERS": ...}: values that replace constants of the file;
      None keeps the constant.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: a name is missing or has the wrong type, a searcher is unknown
      or cannot search the space, or the base config does not accept a key or a
      value of one of the two stages.
  """
  overrides = dict(overrides or {})
  experiment = experiments.load(path, overrides)
  found = experiments.read_constants(path, needed={}, optional=_OPTIONAL)
  given = {k: v for k, v in (replaced or {}).items() if v is not None}
  counts = {
    name: _count(name, given.get(name, found.get(name, default)))
    for name, (_, default) in _COUNTS.items()
  }
  names = given.get("SEARCHERS", found.get("SEARCHERS", _SEARCHERS))
  names = _check_searchers(path, names, experiment, draws=counts["CHILDREN"])
  _refuse_ignored(given, names)
  loaded = Definition(
    file=str(path),
    experiment=experiment,
    parts=_parts(names, counts["SEARCH_SEEDS"]),
    children=counts["CHILDREN"],
    final=found.get("final"),
    final_overrides={
      **experiment.overrides,
      **found.get("FINAL_OVERRIDES", {}),
      **overrides,
    },
    final_seeds=counts["FINAL_SEEDS"],
  )
  _check_final(loaded)
  return loaded


def experiment_of(definition: Definition, part: Part) -> Experiment:
  """The experiment of a search: its trainings have the seed of the search.

  So the searches of a searcher are independent. A file that sets the seed of
  the trainings in its space or its overrides keeps it.
  """
  experiment = definition.experiment
  if SEED in experiment.space:
    return experiment
  overrides = {SEED: part.seed, **experiment.overrides}
  return dataclasses.replace(experiment, overrides=overrides)


def final_experiment(
  definition: Definition, networks: Mapping[str, Mapping[str, Any]]
) -> Experiment:
  """The experiment of the final stage, without pruning.

  Args:
    definition: of the search.
    networks: {label: {config key: value}}.
  """
  return dataclasses.replace(
    definition.experiment,
    overrides=dict(definition.final_overrides),
    space={
      search_folder.NETWORK: axes.grid(
        {label: dict(values) for label, values in networks.items()}
      ),
      SEED: axes.seeds(definition.final_seeds),
    },
    pruning=None,
  )


def _count(name: str, value: Any) -> int:
  flag, _ = _COUNTS[name]
  return options.convert(value, ranges.Count, name=f"{name} (--{flag})")


def _check_searchers(
  path: str | pathlib.Path, names: Any, experiment: Experiment, *, draws: int
) -> tuple[str, ...]:
  different = len(set(map(str, names))) == len(names) > 0
  if isinstance(names, str) or not different or not isinstance(names[0], str):
    raise ValueError(
      f"{path}: SEARCHERS is {names!r}; expected a tuple of different "
      f"searchers, as in {_SEARCHERS}"
    )
  for name in names:
    searchers.plan(experiment.space, searcher=name, draws=draws)
    if name != "grid" and not opening.draws(experiment, name):
      raise ValueError(
        f"{path}: the searcher {name} draws nothing, because all axes of SPACE "
        'are lists of values that are all tried; use SEARCHERS = ("grid",)'
      )
  return tuple(names)


def _refuse_ignored(given: Mapping[str, Any], names: Sequence[str]) -> None:
  """Raises ValueError for a flag without effect."""
  if set(names) == {"grid"}:
    for name in ("SEARCH_SEEDS", "CHILDREN"):
      if name in given:
        raise ValueError(
          f"--{_COUNTS[name][0]} {given[name]} has no effect on a grid, which "
          "draws nothing; leave it out"
        )


def _parts(names: Sequence[str], seeds: int) -> tuple[Part, ...]:
  """The searches; a grid is the same for all seeds, so it has one."""
  found = [
    Part(f"{search_folder.file_name(name)}-{seed}", name, seed)
    for seed in range(seeds)
    for name in names
    if name != "grid" or seed == 0
  ]
  folders = [each.name for each in found]
  if len(set(folders)) < len(folders):
    raise ValueError(
      f"the searchers {', '.join(names)} have the same names of folders; use "
      "different options"
    )
  return tuple(found)


def _check_final(definition: Definition) -> None:
  """Raises ValueError if a key or value of the final stage is wrong."""
  point = next(space.corners(definition.experiment.space))
  experiments.check(final_experiment(definition, {"any": point.overrides}))
