"""Arrays on a mesh: batches that are split over it, arrays that are whole.

Each process reads the rows of a batch that its own devices hold.
"""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of an array that is whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
  """The sharding of a batch whose examples lie along `axis`."""
  spec = PartitionSpec(*[None] * axis, mesh.axis_names)
  return NamedSharding(mesh, spec)


def put_batch(batch: Any, mesh: Mesh, *, axis: int = 0) -> Any:
  """This process's rows (numpy) as one global array; the copy is not awaited.

  Args:
    batch: tree of arrays (..., b / processes, ...), this process's share.
    mesh: the mesh to lie on.
    axis: where the examples lie.
  """
  sharding = batch_sharding(mesh, axis=axis)
  return jax.make_array_from_process_local_data(sharding, batch)


def whole(array: jax.Array | np.ndarray) -> np.ndarray:
  """An array, wherever it is; all processes that share it must call this."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return np.asarray(array)
  return multihost_utils.process_allgather(array, tiled=True)


def local_rows(batch_size: int, mesh: Mesh) -> slice | np.ndarray:
  """The rows of the global batch that this process's devices hold.

  They are a slice where they are neighbours. On a TPU pod they need not be: the
  mesh follows the network, not the processes.
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
  """Raises ValueError where a batch cannot be split evenly over the mesh.

  Args:
    batch_size: examples, of all devices together.
    mesh: that shares them.
    key: of the config, for the message.
    parts: that the batch is taken in, one after another.
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
