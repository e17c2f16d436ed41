"""Tests of jaxvision.parallel.mesh on eight virtual devices."""

import glob
import re

import fake_devices
import jax
import pytest

from jaxvision import parallel


def test_mesh_is_of_all_devices_along_data():
  mesh = parallel.make_mesh()
  assert dict(mesh.shape) == {"replica": 1, "data": 8, "fsdp": 1}
  assert list(mesh.devices.flat) == jax.devices()
  assert parallel.describe(mesh) == "8 x cpu"
  assert parallel.make_mesh(jax.devices()[:3]).size == 3


@pytest.mark.parametrize(
  ("sizes", "expected"),
  [
    ({"fsdp": 4}, (1, 2, 4)),
    ({"fsdp": 0, "data": 4}, (1, 4, 2)),
    ({"fsdp": 8, "data": 1}, (1, 1, 8)),
    ({"replica": 2, "fsdp": 2}, (2, 2, 2)),
    ({"replica": 4, "data": 1, "fsdp": 0}, (4, 1, 2)),
  ],
)
def test_sizes_that_are_zero_are_inferred(sizes, expected):
  mesh = parallel.make_mesh(**sizes)
  assert tuple(mesh.shape.values()) == expected
  assert {each.id for each in mesh.devices.flat} == set(range(8))


@pytest.mark.parametrize(
  ("sizes", "message"),
  [
    ({"fsdp": 3}, "mesh.fsdp 3 needs a multiple of 3 devices, but there are 8"),
    ({"fsdp": 16}, "multiple of 16 devices, but there are 8; choose sizes"),
    ({"data": 4}, "mesh.fsdp 1 uses 4 of the 8 devices; set mesh.data or"),
    ({"data": 0, "fsdp": 0}, "one of data and fsdp may be 0"),
    ({"data": -1}, "mesh.data -1 x mesh.fsdp 1: give positive sizes"),
  ],
)
def test_sizes_that_do_not_fit_the_devices_are_explained(sizes, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    parallel.make_mesh(**sizes)


def test_replicas_go_across_slices():
  """Devices that differ along data or fsdp only are in one slice."""
  devices = [fake_devices.Device(i, slice_index=i % 2) for i in range(8)]
  mesh = parallel.make_mesh(devices, fsdp=2)
  assert dict(mesh.shape) == {"replica": 2, "data": 2, "fsdp": 2}
  for number, replica in enumerate(mesh.devices):
    assert {each.slice_index for each in replica.flat} == {number}
  more = parallel.make_mesh(devices, replica=4, fsdp=2)
  assert dict(more.shape) == {"replica": 4, "data": 1, "fsdp": 2}
  with pytest.raises(ValueError, match="are in 2 slices, and"):
    parallel.make_mesh(devices, replica=1)


@pytest.mark.parametrize(
  ("backend", "platforms", "found"),
  [
    ("cpu", "", ["/dev/nvidia0", "/dev/nvidia1"]),
    ("cpu", "cuda,cpu", []),
    ("cpu", "cpu", []),
    ("gpu", "", []),
  ],
)
def test_idle_accelerators(monkeypatch, backend, platforms, found):
  files = ["/dev/nvidia1", "/dev/nvidia0"]
  monkeypatch.setattr(
    glob, "glob", lambda pattern: files if "nvidia" in pattern else []
  )
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  monkeypatch.setenv("JAX_PLATFORMS", platforms)
  assert parallel.idle_accelerators() == found
