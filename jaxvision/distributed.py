"""Where arrays live: a mesh of all devices, batches split, states replicated.

The mesh has one axis, "data". Every process holds the same share of it and
feeds the same share of each batch: process p of n reads the p-th n-th.
"""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxvision import startup


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A mesh with the axis "data" over `devices`, by default all there are."""
  devices = jax.devices() if devices is None else devices
  # Explicit axes, the default of jax.make_mesh, do not pass through attention.
  return Mesh(np.asarray(devices), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of a state: whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
  """The sharding of a batch whose examples lie along `axis`."""
  return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def put_batch(batch: Any, mesh: Mesh, *, axis: int = 0) -> Any:
  """This process's rows (numpy) as one global array; the copy is not awaited.

  Args:
    batch: tree of arrays (..., b / processes, ...), this process's share.
    mesh: the mesh to lie on.
    axis: where the examples lie.
  """
  sharding = batch_sharding(mesh, axis=axis)
  return jax.make_array_from_process_local_data(sharding, batch)


def local_rows(batch_size: int) -> slice:
  """The rows of the global batch which this process reads."""
  share = batch_size // jax.process_count()
  return slice(share * jax.process_index(), share * (jax.process_index() + 1))


def check_batch_size(batch_size: int, mesh: Mesh, *, key: str) -> None:
  """Raises ValueError where a batch cannot be split evenly over the mesh."""
  if batch_size < 1 or batch_size % mesh.size:
    smaller = max(batch_size, 0) // mesh.size * mesh.size
    sizes = [size for size in (smaller, smaller + mesh.size) if size > 0]
    raise ValueError(
      f"{key} {batch_size} does not divide over {mesh.size} devices; use "
      + " or ".join(map(str, sizes))
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
