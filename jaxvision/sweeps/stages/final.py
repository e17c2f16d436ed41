"""The networks of the final stage, and the children that they were."""

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import files
from jaxvision.runs import search_folder
from jaxvision.sweeps.experiment import experiment as experiments
from jaxvision.sweeps.experiment.experiment import Experiment
from jaxvision.sweeps.stages import children, definition
from jaxvision.sweeps.stages.children import Ended
from jaxvision.sweeps.stages.definition import Definition
from jaxvision.sweeps.workers import folder
from jaxvision.sweeps.workers.processes import Failed


def choose(workdir: pathlib.Path, asked: Definition) -> None:
  """Writes networks.json of the final stage, unless it exists.

  The first worker that has seen the end of all searches chooses the networks.
  All others read them.

  Args:
    workdir: the folder of the search.
    asked: the definition of the search.

  Raises:
    Failed: no child is complete.
    ValueError: the function `final` returns something else than config values,
      or the config does not accept them.
  """
  with folder.locked(workdir):
    if search_folder.read_networks(workdir):
      return
    ended = children.read_ended(workdir, asked)
    if not any(each.state == "complete" for each in ended):
      raise Failed(f"none of {len(ended)} children is complete")
    networks = (asked.final or _best_of_each(asked))(ended)
    _check(asked, networks)
    path = workdir / search_folder.FINAL / "networks.json"
    path.parent.mkdir(exist_ok=True)
    files.write_json(
      path,
      {
        label: _record(asked, values, ended)
        for label, values in networks.items()
      },
    )


def load(workdir: pathlib.Path, asked: Definition) -> Experiment | None:
  """The experiment of the final stage; None before networks.json exists.

  Raises:
    ValueError: networks.json is damaged, or the config does not accept it.
  """
  networks = search_folder.read_networks(workdir)
  if not networks:
    return None
  values = {label: each["overrides"] for label, each in networks.items()}
  return experiments.check(definition.final_experiment(asked, values))


def _best_of_each(asked: Definition) -> Any:
  """Returns a function `final` that names the best child of each searcher."""
  sign = 1 if asked.experiment.objective.goal == "maximize" else -1

  def final(ended: Sequence[Ended]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for child in children.ranked(ended, sign=sign):
      found.setdefault(child.searcher, child.overrides)
    return found

  return final


def _record(
  asked: Definition, values: Mapping[str, Any], ended: Sequence[Ended]
) -> dict[str, Any]:
  """The record of a network, with the complete children that are equal to it.

  The same cell can be found by several searches.
  """
  equal = [
    each
    for each in ended
    if each.state == "complete"
    and children.is_network(each, values, search_space=asked.experiment.space)
  ]
  proxy = statistics.mean(each.value for each in equal) if equal else None
  return {
    "overrides": dict(values),
    "children": [{"search": c.search, "number": c.number} for c in equal],
    "proxy": proxy,
  }


def _check(asked: Definition, networks: Any) -> None:
  if not isinstance(networks, Mapping) or not networks:
    raise ValueError(
      f"{asked.file}: final() returned {networks!r}; expected a dictionary "
      "{label: {config key: value}} with at least one network"
    )
  names = [search_folder.file_name(str(label)) for label in networks]
  if "" in names or len(set(names)) < len(names):
    raise ValueError(
      f"{asked.file}: final() returned the labels {', '.join(networks)}; their "
      "letters and digits name the recipes, so they must be different"
    )
  experiments.check(definition.final_experiment(asked, networks))
