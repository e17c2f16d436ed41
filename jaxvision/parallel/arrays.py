"""Arrays on a mesh: batches (split over the mesh) and replicated arrays.

Each process reads the rows of a batch that belong to its devices.
"""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of an array that is replicated on all devices."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
  """The sharding of a batch; `axis` is the axis of the examples."""
  spec = PartitionSpec(*[None] * axis, mesh.axis_names)
  return NamedSharding(mesh, spec)


def put_batch(batch: Any, mesh: Mesh, *, axis: int = 0) -> Any:
  """Makes global arrays from this process's rows; the copy is asynchronous.

  Args:
    batch: tree of numpy arrays (..., b / processes, ...), this process's rows.
    mesh: the mesh.
    axis: axis of the examples.
  """
  sharding = batch_sharding(mesh, axis=axis)
  return jax.make_array_from_process_local_data(sharding, batch)


def whole(array: jax.Array | np.ndarray) -> np.ndarray:
  """Gathers an array to numpy; all processes that share it must call this."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return np.asarray(array)
  return multihost_utils.process_allgather(array, tiled=True)


def local_rows(batch_size: int, mesh: Mesh) -> slice | np.ndarray:
  """The rows of the global batch that belong to this process's devices.

  Contiguous rows are a slice. On a TPU pod they may not be contiguous: the mesh
  follows the network, not the processes.
  """
  indices = batch_sharding(mesh).devices_indices_map((batch_size,))
  held = sorted(
    index.indices(batch_size)[:2]
    for device, (index,) in indices.items()
    if device.process_index == jax.process_index()
  )
  rows = np.concatenate([np.arange(*each) for each in held])
  if rows[-1] - rows[0] == len(rows) - 1:
    return slice(int(rows[0]), int(rows[-1]) + 1)
  return rows


def check_batch_size(
  batch_size: int, mesh: Mesh, *, key: str, parts: int = 1
) -> None:
  """Raises ValueError if a batch cannot be split evenly over the mesh.

  Args:
    batch_size: examples of all devices together.
    mesh: the mesh.
    key: config key, for the message.
    parts: number of parts for gradient accumulation.
  """
  least = mesh.size * parts
  if batch_size < 1 or batch_size % least:
    smaller = max(batch_size, 0) // least * least
    sizes = [size for size in (smaller, smaller + least) if size > 0]
    times = f" times {parts} parts (train.accumulate)" if parts > 1 else ""
    raise ValueError(
      f"{key} {batch_size} does not divide over {mesh.size} devices{times}; "
      "use " + " or ".join(map(str, sizes))
    )
