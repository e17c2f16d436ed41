"""What of a config can be wrong together, said before anything is compiled."""

import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import (
  distributed,
  metrics,
  precision,
  remat,
  spelling,
  user_code,
)
from jaxvision.config import ConfigDict

PLACEMENTS = ("host", "device")
# What the loop writes beside evaluations, and `pace` with it.
_TRAINING = ("loss", "top1")
_LOGGED = (
  *("gradient_norm", "learning_rate", "epoch", "seconds", "goodput", "mfu"),
  *("images_per_second", "step_seconds_p50", "step_seconds_p95"),
  *("data_wait", "saving_seconds"),
)


def check(config: ConfigDict, mesh: Mesh) -> None:
  """Raises ValueError for batches that the mesh cannot share, and bad names."""
  train = config.train
  distributed.check_batch_size(
    train.batch_size, mesh, key="train.batch_size", parts=train.accumulate
  )
  if size := config.evaluate.batch_size:
    distributed.check_batch_size(size, mesh, key="evaluate.batch_size")
  placement, block = config.data.placement, train.steps_per_dispatch
  if placement not in PLACEMENTS:
    raise ValueError(spelling.unknown("data.placement", placement, PLACEMENTS))
  if block > 1 and placement != "device":
    raise ValueError(
      f"train.steps_per_dispatch {block} needs the data on the device: set "
      'data.placement to "device", or take 1 step'
    )
  remat.check(train.remat)
  precision.check(config)


def check_best(config: ConfigDict, num_classes: int) -> None:
  """Raises ValueError unless checkpoint.best is measured, and larger better."""
  larger_is_better = _metrics(num_classes) - {"calibration_error"}
  known = [
    f"{role}/{name}" for role in _roles(config) for name in larger_is_better
  ]
  best = config.checkpoint.best
  if best and best not in known:
    raise ValueError(
      spelling.unknown("metric of which larger is better", best, known)
      + "; correct checkpoint.best (validation_ema is there with an ema.decay)"
    )


def check_measured(name: str, config: ConfigDict, num_classes: int) -> None:
  """Raises ValueError unless a run writes `name` into its metrics.jsonl."""
  validation = _roles(config) if config.data.validation else []
  known = {*_LOGGED, *(f"train/{each}" for each in _TRAINING)}
  for role in validation:
    known |= {f"{role}/{each}" for each in (*_metrics(num_classes), "loss")}
  # The last role is that of the average where there is one.
  probes = [
    f"{validation[-1]}/{user_code.as_written(each)}/"
    for each in config.evaluate.probes
  ]
  if name not in known and not name.startswith(tuple(probes)):
    raise ValueError(
      spelling.unknown("metric", name, [*known, *(f"{p}..." for p in probes)])
      + " (validation_ema is there with an ema.decay, both with a "
      "data.validation)"
    )


def _metrics(num_classes: int) -> set[str]:
  """The names of what `metrics` measures of an evaluation."""
  logits = jax.ShapeDtypeStruct((1, num_classes), np.float32)
  mask = jax.ShapeDtypeStruct((1,), np.float32)
  shapes = jax.eval_shape(metrics.sums, logits, logits, mask)
  ones = jax.tree.map(lambda each: np.ones(each.shape, int), shapes)
  return set(metrics.finish(ones))


def _roles(config: ConfigDict) -> list[str]:
  return ["validation", "validation_ema"][: 2 if config.ema.decay else 1]
