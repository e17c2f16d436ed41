"""A rerun of a sweep: its best settings with more seeds."""

import collections
import json
import logging
import pathlib
import statistics
from typing import Any

from jaxvision import user_code
from jaxvision.runs import sweep_folder
from jaxvision.sweeps.experiment import axes
from jaxvision.sweeps.experiment.experiment import Experiment
from jaxvision.sweeps.experiment.objective import Objective

_LOGGER = logging.getLogger(__name__)


def rerun_best(
  workdir: str | pathlib.Path, *, top: int, seeds: int
) -> Experiment:
  """Returns an experiment with the best settings of a sweep and new seeds.

  Settings are ranked by the mean of the objective over their seeds. The
  experiment has no pruning. Before it runs, pass it to `check` with the folder
  as owner.

  Args:
    workdir: folder of the finished sweep.
    top: number of settings.
    seeds: number of seeds of each setting, 0 to seeds - 1.

  Raises:
    FileNotFoundError: the folder is not a sweep.
    ValueError: no trial is complete, sweep.json is damaged, or it names code
      that this account does not trust.
  """
  workdir = pathlib.Path(workdir)
  content = sweep_folder.read_definition(workdir)
  stored = content["objective"]
  aim = Objective(stored["metric"], stored["goal"], stored["at"])
  settings = _best_settings(workdir, aim)[:top]
  if not settings:
    raise ValueError(f"no trial of {workdir} is complete; run the sweep first")
  return Experiment(
    question=content["question"],
    recipe=content["recipe"],
    overrides=content["overrides"],
    space={
      "setting": axes.grid(dict(settings)),
      "seed": axes.seeds(seeds),
    },
    objective=aim,
    read=content["read"],
    copies=user_code.read_copies(workdir, content.get("code", {})),
  )


def _best_settings(
  workdir: pathlib.Path, aim: Objective
) -> list[tuple[str, dict[str, Any]]]:
  """(name, overrides without the seed) of all settings, best first."""
  values = collections.defaultdict(list)
  found: dict[str, tuple[str, dict[str, Any]]] = {}
  for path in sorted((workdir / "trials").glob("*/trial.json")):
    try:
      trial = sweep_folder.read_trial(path)
    except (ValueError, OSError) as error:
      _LOGGER.warning("a trial is skipped: %s", error)
      continue
    if trial["state"] == "complete":
      overrides = {k: v for k, v in trial["overrides"].items() if k != "seed"}
      key = json.dumps(overrides, sort_keys=True)
      found.setdefault(key, (f"trial {trial['number']}", overrides))
      values[key].append(trial["value"])
  sign = -1 if aim.goal == "maximize" else 1
  ranked = sorted(found, key=lambda key: sign * statistics.mean(values[key]))
  return [found[key] for key in ranked]
