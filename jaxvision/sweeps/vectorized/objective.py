"""The check that the trials of a sweep log the metric of its objective."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import config as configs
from jaxvision import sweeps
from jaxvision.training import setup
from jaxvision.training.setup import checks

# Groups of keys on which the names of the metrics depend, and a key of them on
# which they do not.
_GROUPS, _OTHER = ("data.", "ema.", "evaluate."), "data.fold"


def check_objective(experiment: sweeps.Experiment) -> None:
  """Checks that every trial logs the metric of the objective.

  A trial whose data cannot be opened is not checked: it fails when it starts.
  If this is true for all trials, the error is raised here.

  Raises:
    ValueError, OSError: a trial does not log the metric, or the data of no
      trial can be opened.
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
      checks.check_measured(metric, config, _task(config, train.class_names))
    except ValueError as error:
      raise ValueError(f"{error}; correct OBJECTIVE") from error
  if problems and not opened:
    raise problems[0]


def _task(config: configs.ConfigDict, class_names: Sequence[str]):
  """The task of a trial. Its model is neither traced nor run."""
  return setup.make_task(
    config,
    setup.make_model(config, len(class_names)),
    image_shape=(1, 1, config.data.channels),
    class_names=class_names,
  )


def _variants(experiment: sweeps.Experiment) -> list[dict[str, Any]]:
  """Overrides of one trial for each possible set of metric names."""
  found: dict[str, dict[str, Any]] = {}
  for point in sweeps.corners(experiment.space):
    overrides = {**experiment.overrides, **point.overrides}
    found.setdefault(_relevant(overrides), overrides)
  return list(found.values())


def _relevant(overrides: Mapping[str, Any]) -> str:
  relevant = {
    key: value
    for key, value in overrides.items()
    if key.startswith(_GROUPS) and key != _OTHER
  }
  return json.dumps(relevant, sort_keys=True, default=repr)
