"""The mesh: all devices of a run in a grid with three axes.

A batch is split along all three axes. Parameters can be split along "fsdp" (see
`jaxvision.parallel.sharding`). The axis "replica" connects slices, through a
slower network. The axes "data" and "fsdp" are inside a slice.
"""

import os
from collections.abc import Sequence

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from jaxvision.xla import settings

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
    devices: all devices by default; they can belong to other machines.
    replica: size of the axis; 0 for the number of slices.
    data: size of the axis; 0 for the remaining devices.
    fsdp: size of the axis; 0 for the remaining devices.

  Raises:
    ValueError: the sizes do not match the number of devices.
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
  # Attention does not support explicit axes, the default of jax.make_mesh.
  return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _sizes(
  count: int, slices: int, replica: int, data: int, fsdp: int
) -> tuple[int, int, int]:
  """The sizes of the mesh, with inferred values for 0."""
  given = f"mesh.replica {replica} x mesh.data {data} x mesh.fsdp {fsdp}"
  if min(replica, data, fsdp) < 0 or data == fsdp == 0:
    raise ValueError(
      f"{given}: give positive sizes; one of data and fsdp may be 0, for the "
      f"remaining devices of {count}"
    )
  replica = replica or slices
  if replica % slices:
    raise ValueError(
      f"{given}: the devices are in {slices} slices, and mesh.replica must be "
      f"a multiple of this number; set it to {slices}, or to 0"
    )
  known = replica * (data or 1) * (fsdp or 1)
  if count % known:
    raise ValueError(
      f"{given} needs a multiple of {known} devices, but there are {count}; "
      f"choose sizes whose product divides {count}"
    )
  left = count // known
  if data and fsdp and left > 1:
    raise ValueError(
      f"{given} uses {known} of the {count} devices; set mesh.data or "
      "mesh.fsdp to 0, to use the remaining devices"
    )
  return replica, data or left, fsdp or left


def describe(mesh: Mesh) -> str:
  """The devices of the mesh as text: "8 x NVIDIA H200" or "1 x cpu"."""
  return f"{mesh.size} x {mesh.devices.flat[0].device_kind}"


def idle_accelerators() -> list[str]:
  """The device files of accelerators that jax does not use."""
  cpu_requested = "cpu" in os.environ.get("JAX_PLATFORMS", "")
  if jax.default_backend() != "cpu" or cpu_requested:
    return []
  return settings.accelerator_files()
