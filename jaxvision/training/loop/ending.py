"""The reasons why a run leaves the loop before its last step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import trees


class Preempted(Exception):
  """The run was preempted. Its state is saved, and it can be resumed."""


class Diverged(trees.NotFinite):
  """The loss, the gradient, a metric or the state is not finite.

  Attributes:
    good: the last step whose checkpoint is known to be good; None if unknown.
  """

  def __init__(self, message: str, *, good: int | None = None):
    super().__init__(message)
    self.good = good


class Ended(Exception):
  """The run was stopped early by `watch`. The message gives the reason."""


class NoGain(Exception):
  """The patience of the run is at its end: the run is complete and saved."""


def diverged_step(sums: Mapping[str, float], step: int) -> Diverged | None:
  """The error of a step whose loss or gradient is not finite; None if finite.

  Args:
    sums: of the step, with "loss" and "gradient_norm".
    step: its number, from 1.
  """
  loss, norm = sums["loss"], sums["gradient_norm"]
  if math.isfinite(loss) and math.isfinite(norm):
    return None
  return Diverged(
    f"step {step}: the loss is {loss} and the norm of its gradient {norm}",
    # The loss is computed from the state before the step.
    good=step - (1 if math.isfinite(loss) else 2),
  )


def diverged_state(paths: Sequence[str], step: int) -> Diverged | None:
  """The error of a state after a step; None if it is finite.

  The loss shows such a state only one step later. It shows neither an infinite
  optimizer state nor the effect of the last step.

  Args:
    paths: of the leaves that are not finite.
    step: the number of steps that the state has taken.
  """
  if not paths:
    return None
  more = f" and {len(paths) - 3} more arrays" if len(paths) > 3 else ""
  return Diverged(
    f"step {step}: the update produced NaN or infinity in "
    f"{', '.join(paths[:3])}{more}",
    good=step - 1,
  )


def no_gain(record: Mapping[str, Any]) -> NoGain:
  """The reason why patience ends a run.

  Args:
    record: of the run, with "waited" and "best".
  """
  best = record["best"]
  return NoGain(
    f"{best['metric']} has not improved in {record['waited']} evaluations; the "
    f"best is {best['value']:.4g}"
  )
