"""A trial of a sweep as a run of its own, and what may come of it."""

import logging
from typing import Any

from jaxvision import sweep, tracking, train_loop, training

# What XLA says when a device has no memory left.
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory")
_LONGEST_REASON = 500
_LOGGER = logging.getLogger(__name__)


def run(recipe: str, **arguments: Any) -> sweep.Outcome:
  """Trains, and says how it went; failures are outcomes, too.

  Args:
    recipe: of `training.train`.
    **arguments: of `training.train`.

  Raises:
    train_loop.Preempted: the run was asked to stop, and is saved.
    sweep.Lost: another worker has the trial now.
    Exception: the disk is full, which is the fault of no trial.
  """
  try:
    training.train(recipe, **arguments)
  except train_loop.Ended as end:
    return sweep.Outcome("pruned", str(end))
  except (train_loop.Preempted, sweep.Lost):
    raise
  except Exception as error:
    if tracking.disk_is_full(error):
      raise
    _LOGGER.exception("the trial in %s failed", arguments["workdir"])
    return sweep.Outcome("failed", reason(error))
  return sweep.Outcome("complete")


def reason(error: Exception) -> str:
  """Why a trial failed, in a line."""
  text = " ".join(str(error).split())[:_LONGEST_REASON]
  if isinstance(error, train_loop.Diverged):
    return f"diverged: {text}"
  if isinstance(error, MemoryError) or any(w in text for w in _NO_MEMORY):
    return f"out of memory: {text}"
  return f"{type(error).__name__}: {text}"
