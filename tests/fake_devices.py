"""Devices that are not on this machine, for the tests of meshes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Device:
  """The properties of a device that a mesh reads."""

  id: int
  process_index: int = 0
  slice_index: int = 0
  platform: str = "cpu"
  device_kind: str = "cpu"
