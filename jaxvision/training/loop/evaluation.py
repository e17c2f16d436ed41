"""The evaluations of the loop: metrics, best checkpoint, early stopping."""

import logging
import math
from collections.abc import Mapping

from jaxvision.processes import preemption
from jaxvision.training.loop import ending, timing
from jaxvision.training.loop.stack import (
  Member,
  Settings,
  Stack,
  Values,
  records,
  without,
)

_LOGGER = logging.getLogger(__name__)


def evaluate(
  stack: Stack, settings: Settings, clock: timing.Clock
) -> tuple[Stack, dict[Member, float]]:
  """Evaluates all members and writes their metrics.

  If a preemption interrupts the evaluation, nothing is written, and
  "unevaluated" becomes True in the records.

  Args:
    stack: of the loop.
    settings: of the loop.
    clock: of the loop.

  Returns:
    The stack without the members that are stopped early, and the scores of the
    members whose evaluation is their best so far. There are no scores if the
    best states are not saved.
  """
  own = records(stack)
  try:
    measured = stack.program.measure(stack.state)
  except preemption.Stopped:
    for record in own:
      record["unevaluated"] = True
    return stack, {}
  finally:
    timing.spend("evaluating", clock, own)
  evaluations, scores = {}, {}
  for place, member in stack.members.items():
    member.record["unevaluated"] = False
    values = _flat(measured[place])
    if values:
      step = member.record["step"]
      evaluations[member] = (step, settings.steps.total, values)
      _write(member, step, values)
      score = _best(member, values)
      if score is not None and not settings.save_seconds:
        scores[member] = score
  reasons = settings.watch(evaluations) if evaluations else {}
  left = {member: ending.Ended(reason) for member, reason in reasons.items()}
  return without(stack, left), scores


def _flat(measured: Mapping[str, Values]) -> dict[str, float]:
  return {
    f"{split}/{metric}": value
    for split, metrics in measured.items()
    for metric, value in metrics.items()
  }


def _write(member: Member, step: int, values: Values) -> None:
  member.write(step, values)
  member.show(step, values)
  # An evaluation may overflow in the first steps, while the running averages
  # are far from their final values.
  broken = [name for name, value in values.items() if not math.isfinite(value)]
  if broken:
    _LOGGER.warning(
      "step %d: %s is not finite, although the parameters are: the model "
      "overflows in evaluation. Normalisations by running averages may do so "
      "in the first steps; later, lower optimizer.learning_rate.",
      step,
      ", ".join(broken),
    )


def _best(member: Member, values: Values) -> float | None:
  """Updates the best evaluation of a record, and the evaluations since it.

  Returns:
    The score if these values are the best so far, else None.
  """
  if not member.best:
    return None
  (metric, sign), best = member.best, member.record["best"]
  value = values[metric]
  member.record["waited"] += best is not None
  if not math.isfinite(value):
    return None
  if best is not None and not sign * value >= sign * best["value"]:
    return None
  if best is None or value != best["value"]:
    member.record["waited"] = 0
  member.record["best"] = {
    "step": member.record["step"],
    "metric": metric,
    "value": value,
  }
  return sign * value
