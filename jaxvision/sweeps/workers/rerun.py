"""A rerun of a sweep: its best settings with more seeds."""

import logging
import pathlib
from typing import Any

from jaxvision import user_code
from jaxvision.runs import sweep_folder
from jaxvision.runs.sweep_folder import FOLD, FOLDS
from jaxvision.sweeps.experiment import axes
from jaxvision.sweeps.experiment.experiment import Experiment, repeated
from jaxvision.sweeps.experiment.objective import Objective

_LOGGER = logging.getLogger(__name__)


def rerun_best(
  workdir: str | pathlib.Path, *, top: int, seeds: int, folds: int | None = None
) -> Experiment:
  """Returns an experiment with the best settings of a sweep and new seeds.

  Settings are ranked by the mean of the objective over their seeds and folds.
  The experiment has no pruning. Before it runs, pass it to `check` with the
  folder as owner.

  Args:
    workdir: folder of the finished sweep.
    top: number of settings.
    seeds: number of seeds of each setting, 0 to seeds - 1.
    folds: number of folds of each setting; None for those of the sweep.

  Raises:
    FileNotFoundError: the folder is not a sweep.
    ValueError: no trial is complete, sweep.json is damaged, or it names code
      that this account does not trust.
  """
  workdir = pathlib.Path(workdir)
  sweep = sweep_folder.read_sweep(workdir, with_runs=False)
  content = sweep.definition
  stored = content["objective"]
  aim = Objective(stored["metric"], stored["goal"], stored["at"])
  for problem in sweep.problems:
    _LOGGER.warning("a trial is skipped: %s", problem)
  settings = list(_best_settings(sweep, folded=folds is None).items())[:top]
  if not settings:
    raise ValueError(f"no trial of {workdir} is complete; run the sweep first")
  return Experiment(
    question=content["question"],
    recipe=content["recipe"],
    overrides=content["overrides"],
    space=repeated(
      {"setting": axes.grid(dict(settings))}, seeds=seeds, folds=folds
    ),
    objective=aim,
    read=content["read"],
    copies=user_code.read_copies(workdir, content.get("code", {})),
  )


def _best_settings(
  sweep: sweep_folder.Sweep, *, folded: bool
) -> dict[str, dict[str, Any]]:
  """{name: values and axes} of all settings, best first.

  Args:
    sweep: the finished sweep.
    folded: whether the settings keep their folds.
  """
  found = {}
  for each in sweep_folder.settings(sweep):
    space = sweep_folder.without_repetitions(each.trials[0].overrides)
    if not folded:
      space.pop(FOLDS, None)
    elif each.folds:
      space[FOLD] = axes.grid(*each.folds)
    found[f"trial {each.trials[0].number}"] = space
  return found
