"""A diverged run: values that are not finite, and the checkpoints before."""

import contextlib
from collections.abc import Mapping

import numpy as np

from jaxvision import checkpoint
from jaxvision.training.loop import train_loop


def explain(
  manager: checkpoint.Manager | None, error: train_loop.Diverged
) -> str:
  """The status of a diverged run, after its bad checkpoints are set aside.

  Checkpoints that are known to be bad are moved to WORKDIR/damaged.

  Args:
    manager: of the checkpoints; None for a run without checkpoints.
    error: of the loop.
  """
  kept = "none yet"
  if manager and (steps := _good_steps(manager, error)):
    kept = f"{checkpoint.directory(manager)}/{max(steps)}"
  return (
    f"stopped at {error}. The last good checkpoint is kept: {kept}. Try a "
    "lower optimizer.learning_rate, a longer schedule.warmup or "
    "optimizer.gradient_clip=1.0, in a new workdir."
  )


def _good_steps(
  manager: checkpoint.Manager, error: train_loop.Diverged
) -> list[int]:
  """Sets bad checkpoints aside and returns the steps of the others."""
  with contextlib.suppress(checkpoint.CheckpointError):
    checkpoint.wait(manager)
  for step in manager.all_steps(read=True):
    if error.good is not None and step > error.good:
      checkpoint.set_aside(manager, step)
  return manager.all_steps(read=True)


def check_finite(
  name: str, metrics: Mapping[str, float], step: int, *, last: int
) -> None:
  """Raises Diverged if a metric of the final evaluation is not finite.

  Args:
    name: of the split.
    metrics: of the evaluation.
    step: of the state that was evaluated.
    last: the last step of the run.
  """
  broken = [key for key, value in metrics.items() if not np.isfinite(value)]
  if broken:
    which = "the last" if step == last else "the best"
    raise train_loop.Diverged(
      f"step {step}, {which}: {', '.join(f'{name}/{key}' for key in broken)} "
      "is not finite, although the parameters are: the model overflows",
      # Of the checkpoints around the best one, nothing is known.
      good=step - 1 if step == last else None,
    )
