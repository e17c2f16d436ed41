"""The children of a search that have ended."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision.runs import search_folder, sweep_folder
from jaxvision.runs.search_folder import Child
from jaxvision.runs.sweep_folder import FOLDS
from jaxvision.sweeps.experiment import axes, space
from jaxvision.sweeps.experiment.axes import Space
from jaxvision.sweeps.stages.definition import Definition


@dataclasses.dataclass(frozen=True)
class Ended:
  """A child that has ended.

  Attributes:
    search: name of the search, as "controller-0".
    searcher: the searcher with its options.
    seed: seed of the search.
    number: place in the order of the proposals, from 0.
    state: "complete", "pruned" or "failed".
    value: mean of the objective over the seeds and folds of its training; None
      unless it is complete.
    settings: {key: value, label or genotype} of the axes, without the seed and
      the fold.
    overrides: the config values of the space, without the seed and the folds:
      the final stage has the splits of the config. Those of OVERRIDES and
      FINAL_OVERRIDES are not among them.
  """

  search: str
  searcher: str
  seed: int
  number: int
  state: str
  value: float | None
  settings: Mapping[str, Any]
  overrides: Mapping[str, Any]


def read_ended(workdir: pathlib.Path, definition: Definition) -> list[Ended]:
  """Reads the ended children of all searches, in the order of the searches."""
  found = []
  for part in definition.parts:
    sweep = sweep_folder.read_sweep(workdir / part.name, with_runs=False)
    found += [
      Ended(
        search=part.name,
        searcher=part.searcher,
        seed=part.seed,
        number=child.number,
        state=child.state,
        value=child.value,
        settings=child.settings,
        overrides=_own_overrides(definition.experiment.space, child),
      )
      for child in search_folder.children(sweep)
      if child.state != "running"
    ]
  return found


def ranked(children: Sequence[Ended], *, sign: int) -> list[Ended]:
  """The complete children, best first; equal ones in their order.

  Args:
    children: such as those of `read_ended`.
    sign: 1 if larger values are better, -1 if smaller ones are.
  """
  complete = [each for each in children if each.state == "complete"]
  return sorted(complete, key=lambda each: -sign * each.value)


def is_network(
  child: Ended, overrides: Mapping[str, Any], *, search_space: Space
) -> bool:
  """Whether config values contain those of a child, or equivalent cells."""
  kinds = dict(space.find_cells(search_space))

  def identity(key: str, value: Any) -> str:
    known = kinds.get(key)
    if known:
      return axes.identify_genotype(known, value)
    return json.dumps(value, default=str)  # Tuples are equal to lists.

  return all(
    key in overrides and identity(key, value) == identity(key, overrides[key])
    for key, value in child.overrides.items()
  )


def _own_overrides(search_space: Space, child: Child) -> dict[str, Any]:
  """The config values of the space: trial.json also has those of OVERRIDES."""
  picks = child.trials[0].picks
  point = space.resolve(search_space, lambda name, _: picks[name])
  own = sweep_folder.without_repetitions(point.overrides)
  return {k: v for k, v in own.items() if k != FOLDS}
