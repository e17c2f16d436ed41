"""The folder of a search: its two stages, each of them sweeps.

  search.json          definition of the search
  code/                copies of the recipe and of the user's own code
  controller-0/        the sweep of the first stage for a searcher and a seed
  final/               the sweep of the second stage: the networks at full size
  final/networks.json  these networks, and the children that they were
  recipes/             a recipe for each of these networks
  report.html          the report

A child is a network of the first stage. The trials of a child differ in the
seed and the fold only.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvision.files import records
from jaxvision.runs import sweep_folder
from jaxvision.runs.sweep_folder import Sweep, Trial

FINAL = "final"
# The axis of the final stage: the label of a network.
NETWORK = "network"


@dataclasses.dataclass(frozen=True)
class Part:
  """The search of one searcher with one seed.

  Attributes:
    name: of its folder.
    searcher: the searcher with its options.
    seed: seed of the search.
    sweep: its trials without their runs; None before its start.
  """

  name: str
  searcher: str
  seed: int
  sweep: Sweep | None


@dataclasses.dataclass(frozen=True)
class Search:
  """The content of the folder of a search.

  Attributes:
    workdir: the folder.
    definition: the content of search.json.
    parts: the searches of the first stage, in the order in which they run.
    final: the sweep of the second stage; None before its start.
    networks: the content of networks.json; {} before the second stage.
    problems: sentences that name the damaged files.
  """

  workdir: pathlib.Path
  definition: Mapping[str, Any]
  parts: tuple[Part, ...]
  final: Sweep | None
  networks: Mapping[str, Any]
  problems: tuple[str, ...] = ()

  @property
  def metric(self) -> str:
    """The name of the objective's metric."""
    return self.definition["objective"]["metric"]

  @property
  def sign(self) -> int:
    """1 if larger is better, -1 if smaller is better."""
    return 1 if self.definition["objective"]["goal"] == "maximize" else -1


@dataclasses.dataclass(frozen=True)
class Child:
  """A child of a search.

  Attributes:
    number: place in the order of the proposals, from 0.
    state: "complete", "pruned", "failed" or "running"; "complete" if all of its
      trials are, otherwise the first of "running", "failed" and "pruned" that
      one of them has.
    value: mean of the objective over its trials; None unless it is complete.
    trials: its trials, by number; at least one.
  """

  number: int
  state: str
  value: float | None
  trials: tuple[Trial, ...]

  @property
  def settings(self) -> dict[str, Any]:
    """{key: value or label} of the axes, without the seed and the fold."""
    return sweep_folder.shown_settings(self.trials[0])


def is_search(workdir: str | pathlib.Path) -> bool:
  """Whether a folder is a search."""
  return (pathlib.Path(workdir) / "search.json").is_file()


def file_name(text: str) -> str:
  """A name for files: "evolution(sample=10)" -> "evolution_sample_10"."""
  return re.sub(r"[^\w.=-]+", "_", text).strip("._-")


def read_definition(workdir: str | pathlib.Path) -> dict[str, Any]:
  """Reads search.json, the definition of a search.

  Raises:
    FileNotFoundError: the folder is not a search.
    ValueError: the file is damaged.
  """
  if not is_search(workdir):
    raise FileNotFoundError(
      f"{str(workdir)!r} is not a search (it has no search.json); pass a "
      "folder that `jaxvision search --workdir` wrote"
    )
  path = pathlib.Path(workdir) / "search.json"
  remedy = (
    "it defines the search: restore it from a copy, or search in a new "
    "workdir; the folders beside it have the runs"
  )
  return sweep_folder.read_with_goal(path, records.SEARCH, remedy=remedy)


def read_networks(workdir: str | pathlib.Path) -> dict[str, Any]:
  """Reads networks.json of the final stage; {} before it is written.

  Returns:
    {label: {"overrides": {config key: value}, "children": [{"search": name of
    the part, "number": number of the child}], "proxy": mean value of these
    children}}.

  Raises:
    ValueError: the file is damaged.
  """
  try:
    return records.read(
      pathlib.Path(workdir) / FINAL / "networks.json",
      records.NETWORKS,
      remedy="it names the networks of the final stage: restore it from a "
      "copy, or remove the folder final/, so that this stage runs again",
    )
  except FileNotFoundError:
    return {}


def read_search(workdir: str | pathlib.Path) -> Search:
  """Reads the folder of a search that may be unfinished.

  Raises:
    FileNotFoundError: the folder is not a search.
    ValueError: search.json or the definition of a sweep is damaged.
  """
  workdir = pathlib.Path(workdir)
  definition = read_definition(workdir)
  parts = [
    Part(**each, sweep=_read_sweep(workdir / each["name"], with_runs=False))
    for each in definition["searches"]
  ]
  final = _read_sweep(workdir / FINAL, with_runs=True)
  sweeps = [each.sweep for each in parts if each.sweep] + [final] * bool(final)
  return Search(
    workdir=workdir,
    definition=definition,
    parts=tuple(parts),
    final=final,
    networks=read_networks(workdir),
    problems=tuple(line for sweep in sweeps for line in sweep.problems),
  )


def children(sweep: Sweep) -> list[Child]:
  """The children of a sweep that have started, in the order of proposals."""
  groups: dict[tuple[int, str], list[Trial]] = {}
  block = _trials_of_a_draw(sweep)
  for trial in sweep.trials:
    shared = sweep_folder.without_repetitions(trial.overrides)
    key = (trial.number // block, json.dumps(shared, sort_keys=True))
    groups.setdefault(key, []).append(trial)
  return [_child(i, trials) for i, trials in enumerate(groups.values())]


def _child(number: int, trials: list[Trial]) -> Child:
  states = {trial.state for trial in trials}
  order = ("running", "failed", "pruned", "complete")
  state = next(each for each in order if each in states)
  value = None
  if state == "complete":
    value = float(np.mean([trial.value for trial in trials]))
  return Child(number, state, value, tuple(trials))


def _trials_of_a_draw(sweep: Sweep) -> int:
  """Number of the trials of one draw; all of them for a grid."""
  count, draws = sweep.definition["trials"], sweep.definition.get("draws")
  if sweep.definition["searcher"] == "grid" or not draws:
    return max(1, count)
  return max(1, count // draws)


def _read_sweep(workdir: pathlib.Path, *, with_runs: bool) -> Sweep | None:
  if not sweep_folder.is_sweep(workdir):
    return None
  return sweep_folder.read_sweep(workdir, with_runs=with_runs)
