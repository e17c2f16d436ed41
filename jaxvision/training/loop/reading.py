"""The sums of the steps, and the lines of the log.

A window contains the sums of the steps since the last line. It is a part of
each member's record. A line contains the means over the window.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision.config import durations
from jaxvision.training.loop import ending, timing
from jaxvision.training.loop.stack import (
  Member,
  Settings,
  Stack,
  records,
  without,
)

# Entries of a window that are not sums over its examples.
_OF_STEPS = ("gradient_norm", "loss_scale")
_NOT_OF_EXAMPLES = ("count", "steps", *_OF_STEPS)


def read(
  stack: Stack,
  settings: Settings,
  last_step: int,
  sums: Mapping[str, Any],
  clock: timing.Clock,
) -> Stack:
  """Adds the sums of one call to the windows and writes the lines that are due.

  Args:
    stack: of the loop.
    settings: of the loop.
    last_step: the last step of the call.
    sums: of its steps, on the devices; the function waits for them.
    clock: of the loop.

  Returns:
    The stack without the members whose loss or gradient is not finite.
  """
  columns = {
    name: np.asarray(each).reshape(len(each), -1).tolist()
    for name, each in jax.device_get(sums).items()
  }
  steps = range(last_step - len(columns["loss"]) + 1, last_step + 1)
  lines = [step for step in steps if _is_line(settings.steps, step)]
  for i, step in enumerate(steps):
    rows = {name: rows[i] for name, rows in columns.items()}
    stack = without(stack, _add(stack, step, rows))
    if step in lines and stack.members:
      # Only the last line of a call has speeds: all its steps end together.
      _log(stack, settings, step, clock if step == lines[-1] else None)
  return stack


def _is_line(steps: durations.Durations, step: int) -> bool:
  return step % steps.log == 0 or step == steps.total


def _add(
  stack: Stack, step: int, rows: Mapping[str, Sequence[float]]
) -> dict[Member, Exception]:
  """Adds a step to the windows and returns the errors of diverged members."""
  diverged = {}
  for place, member in stack.members.items():
    sums = {name: row[place] for name, row in rows.items()}
    window, member.record["step"] = member.record["window"], step
    for name, value in {**sums, "steps": 1}.items():
      window[name] = window.get(name, 0) + value
    if error := ending.diverged_step(sums, step):
      diverged[member] = error
    elif step == 1:
      member.check_first(window_means(window)["train/loss"])
  return diverged


def _log(
  stack: Stack,
  settings: Settings,
  step: int,
  clock: timing.Clock | None,
) -> None:
  """Writes a line for each member and begins new windows.

  Without a clock the lines have no speeds.
  """
  shared = {"epoch": step * settings.batch_size / settings.num_examples}
  if clock:
    timing.spend("steps", clock, records(stack))
    peak = settings.peak
    if peak:
      peak /= settings.effort(clock["step"], step)
    shared |= timing.values(
      step, clock, batch_size=settings.batch_size, peak=peak
    )
  if len(stack.members) + len(stack.left) > 1:
    shared["runs_together"] = len(stack.members)
  for member in stack.members.values():
    record = member.record
    values = {
      **window_means(record["window"]),
      "learning_rate": float(member.schedule(step - 1)),
      **shared,
      "seconds": record["seconds"],
    }
    share = timing.goodput(record["spent"], member.began)
    if share is not None:
      values["goodput"] = share
    member.write(step, values)
    member.show(step, values)
    record["window"].clear()


def window_means(window: Mapping[str, float]) -> dict[str, float]:
  """The means over the examples, and those of `_OF_STEPS` over the steps."""
  count = max(window["count"], 1)
  means = {
    f"train/{name}": total / count
    for name, total in window.items()
    if name not in _NOT_OF_EXAMPLES
  }
  for name in _OF_STEPS:
    if name in window:
      means[name] = window[name] / window["steps"]
  return means
