"""Whether the trials of a sweep measure what it is after."""

import json
from collections.abc import Mapping
from typing import Any

from jaxvision import config as configs
from jaxvision import data, sweeps, tasks
from jaxvision.training import setup
from jaxvision.training.setup import checks

# Groups of keys on which the names of the metrics depend.
_GROUPS = ("data.", "ema.", "evaluate.")


def check_objective(experiment: sweeps.Experiment) -> None:
  """Whether every trial will measure the objective.

  A trial whose data cannot be opened is left to fail by itself, unless they all
  are like that.

  Raises:
    ValueError, OSError: a trial will not, or no trial has its data.
  """
  metric, problems, opened = experiment.objective.metric, [], 0
  for overrides in _variants(experiment):
    config = configs.load(
      experiment.recipe, overrides, copies=experiment.copies
    )
    try:
      train = setup.open_splits(config)["train"]
    except (ValueError, OSError) as error:
      problems.append(error)
      continue
    opened += 1
    try:
      checks.check_measured(metric, config, _task(config, train))
    except ValueError as error:
      raise ValueError(f"{error}; correct OBJECTIVE") from error
  if problems and not opened:
    raise problems[0]


def _task(config: configs.ConfigDict, train: data.Dataset) -> tasks.Task:
  """The task of a trial; its model is neither traced nor run."""
  return setup.make_task(
    config,
    setup.make_model(config, len(train.class_names)),
    image_shape=(1, 1, config.data.channels),
    class_names=train.class_names,
  )


def _variants(experiment: sweeps.Experiment) -> list[dict[str, Any]]:
  """The overrides of trials that may differ in the names of their metrics."""
  found: dict[str, dict[str, Any]] = {}
  for point in sweeps.corners(experiment.space):
    overrides = {**experiment.overrides, **point.overrides}
    found.setdefault(_relevant(overrides), overrides)
  return list(found.values())


def _relevant(overrides: Mapping[str, Any]) -> str:
  relevant = {k: v for k, v in overrides.items() if k.startswith(_GROUPS)}
  return json.dumps(relevant, sort_keys=True, default=repr)
