"""The checkpoints of a run: save, restore, keep the best.

Orbax writes them. Beside each state are its record, its score and a
fingerprint, which finds damage.
"""

from jaxvision.checkpoint.checkpoints import (
  CheckpointError,
  Manager,
  add_score,
  best_step,
  directory,
  forget_scores,
  newest,
  open_manager,
  open_saved,
  restore,
  restore_step,
  save,
  set_aside,
  wait,
)

__all__ = [
  "CheckpointError",
  "Manager",
  "add_score",
  "best_step",
  "directory",
  "fingerprint",
  "forget_scores",
  "newest",
  "open_manager",
  "open_saved",
  "restore",
  "restore_step",
  "save",
  "set_aside",
  "wait",
]
