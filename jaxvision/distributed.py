"""Where arrays live: a mesh of devices, and batches that are split over it.

The mesh has three axes. Along all of them a batch is split; along "fsdp"
parameters may be, too (see `jaxvision.sharding`). "replica" goes across slices,
whose devices are joined by a slower network, "data" and "fsdp" stay inside one.
Each process reads the rows of a batch that its own devices hold.
"""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxvision import startup

AXES = ("replica", "data", "fsdp")


def make_mesh(
  devices: Sequence[jax.Device] | None = None,
  *,
  replica: int = 0,
  data: int = 0,
  fsdp: int = 1,
) -> Mesh:
  """A mesh of `devices` with the axes "replica", "data" and "fsdp".

  Args:
    devices: all that there are by default; they need not be of this machine.
    replica: 0 is the number of slices.
    data: 0 is what the others leave.
    fsdp: 0 is what the others leave.

  Raises:
    ValueError: the sizes do not go together with the devices.
  """
  devices = jax.devices() if devices is None else devices
  slices = len({getattr(device, "slice_index", 0) for device in devices})
  sizes = _sizes(len(devices), slices, replica, data, fsdp)
  if slices > 1:
    inside = (sizes[0] // slices, *sizes[1:])
    grid = mesh_utils.create_hybrid_device_mesh(
      inside, (slices, 1, 1), devices, allow_split_physical_axes=True
    )
  else:
    grid = mesh_utils.create_device_mesh(
      sizes, devices, allow_split_physical_axes=True
    )
  # Explicit axes, the default of jax.make_mesh, do not pass through attention.
  return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _sizes(
  count: int, slices: int, replica: int, data: int, fsdp: int
) -> tuple[int, int, int]:
  """The mesh's sizes, with those inferred that are 0."""
  asked = f"mesh.replica {replica} x mesh.data {data} x mesh.fsdp {fsdp}"
  if min(replica, data, fsdp) < 0 or data == fsdp == 0:
    raise ValueError(
      f"{asked}: sizes are positive, and one of data and fsdp may be 0, which "
      f"is what the others leave of the {count} devices"
    )
  replica = replica or slices
  if replica % slices:
    raise ValueError(
      f"{asked}: the devices are in {slices} slices, of which mesh.replica "
      f"must be a multiple; set it to {slices}, or to 0"
    )
  known = replica * (data or 1) * (fsdp or 1)
  if count % known:
    raise ValueError(
      f"{asked} needs a multiple of {known} devices, but there are {count}; "
      f"choose sizes whose product divides {count}"
    )
  left = count // known
  if data and fsdp and left > 1:
    raise ValueError(
      f"{asked} uses {known} of the {count} devices; set mesh.data or "
      "mesh.fsdp to 0, which is what the others leave"
    )
  return replica, data or left, fsdp or left


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


def describe(mesh: Mesh) -> str:
  """What the mesh is made of, as in "8 x NVIDIA H200" or "1 x cpu"."""
  return f"{mesh.size} x {mesh.devices.flat[0].device_kind}"


def idle_accelerators() -> list[str]:
  """Accelerators of this machine that jax does not use: their device files."""
  asked_for_cpu = "cpu" in os.environ.get("JAX_PLATFORMS", "")
  if jax.default_backend() != "cpu" or asked_for_cpu:
    return []
  return startup.accelerator_files()
