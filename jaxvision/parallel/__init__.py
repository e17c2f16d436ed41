"""Arrays on several devices: the mesh, batches, sharding rules."""

from jaxvision.parallel.arrays import (
  batch_sharding,
  check_batch_size,
  local_rows,
  put_batch,
  replicated,
  whole,
)
from jaxvision.parallel.mesh import AXES, describe, idle_accelerators, make_mesh

__all__ = [
  "AXES",
  "batch_sharding",
  "check_batch_size",
  "describe",
  "idle_accelerators",
  "local_rows",
  "make_mesh",
  "put_batch",
  "replicated",
  "sharding",
  "whole",
]
