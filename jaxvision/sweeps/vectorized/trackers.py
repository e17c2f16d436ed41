"""The check that the trackers of all trials of a sweep can be used."""

from jaxvision import config as configs
from jaxvision import sweeps
from jaxvision.training.setup import trackers


def check_trackers(experiment: sweeps.Experiment) -> None:
  """Checks log.trackers before the first trial starts.

  Raises:
    ValueError: a tracker or an option is unknown, or its package is not
      installed.
  """
  checked = set()
  for point in sweeps.corners(experiment.space):
    overrides = {**experiment.overrides, **point.overrides}
    config = configs.load(
      experiment.recipe, overrides, copies=experiment.copies
    )
    if config.log.trackers not in checked:
      checked.add(config.log.trackers)
      trackers.make(config)
