"""The checkpoints of a run: save, restore, keep the best.

Orbax writes them. A checkpoint also has a record, a score, and a fingerprint
that detects damage.
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
  save,
  wait,
)
from jaxvision.checkpoint.restoring import (
  choose,
  restore,
  restore_step,
  restore_variables,
  set_aside,
)

__all__ = [
  "CheckpointError",
  "Manager",
  "add_score",
  "best_step",
  "choose",
  "directory",
  "fingerprint",
  "forget_scores",
  "newest",
  "open_manager",
  "open_saved",
  "restore",
  "restore_step",
  "restore_variables",
  "save",
  "set_aside",
  "wait",
]
