"""What of a config can be wrong together, said before anything is compiled."""

import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import distributed, metrics, precision, remat, spelling
from jaxvision.config import ConfigDict

PLACEMENTS = ("host", "device")


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
  logits = jax.ShapeDtypeStruct((1, num_classes), np.float32)
  mask = jax.ShapeDtypeStruct((1,), np.float32)
  shapes = jax.eval_shape(metrics.sums, logits, logits, mask)
  ones = jax.tree.map(lambda each: np.ones(each.shape, int), shapes)
  larger_is_better = metrics.finish(ones).keys() - {"calibration_error"}
  roles = ["validation", "validation_ema"][: 2 if config.ema.decay else 1]
  known = [f"{role}/{name}" for role in roles for name in larger_is_better]
  best = config.checkpoint.best
  if best and best not in known:
    raise ValueError(
      spelling.unknown("metric of which larger is better", best, known)
      + "; correct checkpoint.best (validation_ema is there with an ema.decay)"
    )
