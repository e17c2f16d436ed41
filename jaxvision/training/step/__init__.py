"""The training step: (state, batch) -> the next state."""

from jaxvision.training.step.state import TrainState, init_state
from jaxvision.training.step.train_step import (
  make_train_step,
  scan_steps,
  single_step,
  step_key,
)

__all__ = [
  "TrainState",
  "accumulation",
  "averages",
  "batch_statistics",
  "forward",
  "image_sizes",
  "init_state",
  "make_train_step",
  "remat",
  "scan_steps",
  "single_step",
  "state",
  "step_key",
  "train_step",
  "updates",
]
