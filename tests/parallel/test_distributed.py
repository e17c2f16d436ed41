"""Tests of jaxvision.parallel.distributed on eight virtual devices."""

import dataclasses
import glob
import re

import jax
import numpy as np
import pytest

from jaxvision import parallel


@dataclasses.dataclass(frozen=True)
class Device:
  """What a mesh looks at of a device that is not here."""

  id: int
  process_index: int = 0
  slice_index: int = 0
  platform: str = "cpu"
  device_kind: str = "cpu"


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
    ({"data": -1}, "mesh.data -1 x mesh.fsdp 1: sizes are positive"),
  ],
)
def test_sizes_that_do_not_fit_the_devices_are_explained(sizes, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    parallel.make_mesh(**sizes)


def test_replicas_go_across_slices():
  """Devices that differ along data or fsdp only are in one slice."""
  devices = [Device(i, slice_index=i % 2) for i in range(8)]
  mesh = parallel.make_mesh(devices, fsdp=2)
  assert dict(mesh.shape) == {"replica": 2, "data": 2, "fsdp": 2}
  for number, replica in enumerate(mesh.devices):
    assert {each.slice_index for each in replica.flat} == {number}
  more = parallel.make_mesh(devices, replica=4, fsdp=2)
  assert dict(more.shape) == {"replica": 4, "data": 1, "fsdp": 2}
  with pytest.raises(ValueError, match="are in 2 slices, of which"):
    parallel.make_mesh(devices, replica=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_batch_is_split_in_order_along_its_axis(axis):
  mesh = parallel.make_mesh(fsdp=4)
  rows = np.moveaxis(np.arange(48).reshape(16, 3), 0, axis)
  placed = parallel.put_batch({"label": rows}, mesh, axis=axis)["label"]
  np.testing.assert_array_equal(placed, rows)
  for number, shard in enumerate(placed.addressable_shards):
    assert shard.device == mesh.devices.flat[number]
    part = rows.take(range(2 * number, 2 * number + 2), axis)
    np.testing.assert_array_equal(shard.data, part)


def test_replicated_is_whole_on_every_device():
  mesh = parallel.make_mesh()
  array = jax.device_put(np.arange(5), parallel.replicated(mesh))
  assert len(array.addressable_shards) == 8
  for shard in array.addressable_shards:
    np.testing.assert_array_equal(shard.data, np.arange(5))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_rows_of_all_processes_are_the_batch(monkeypatch, processes):
  count = 8 // processes
  mesh = parallel.make_mesh([Device(i, i // count) for i in range(8)])
  seen = []
  for process in range(processes):
    monkeypatch.setattr(jax, "process_index", lambda p=process: p)
    rows = parallel.local_rows(24, mesh)
    assert isinstance(rows, slice)
    seen.extend(range(24)[rows])
  assert seen == list(range(24))


def test_rows_follow_the_devices_where_processes_are_no_neighbours(monkeypatch):
  """As on a TPU pod, whose mesh crosses the hosts' blocks of chips."""
  mesh = parallel.make_mesh([Device(i, i // 2 % 2) for i in range(8)])
  monkeypatch.setattr(jax, "process_index", lambda: 1)
  found = parallel.local_rows(16, mesh)
  np.testing.assert_array_equal(found, [4, 5, 6, 7, 12, 13, 14, 15])


@pytest.mark.parametrize(
  ("size", "remedy"),
  [(12, "8 or 16"), (3, "8"), (0, "8"), (-3, "8"), (17, "16 or 24")],
)
def test_a_batch_that_cannot_be_split_names_those_that_can(size, remedy):
  mesh = parallel.make_mesh()
  message = f"train.batch_size {size} does not divide over 8 devices; use "
  with pytest.raises(ValueError, match=re.escape(message + remedy) + "$"):
    parallel.check_batch_size(size, mesh, key="train.batch_size")


def test_a_batch_that_is_taken_in_parts_is_split_in_each():
  mesh = parallel.make_mesh()
  with pytest.raises(ValueError, match=r"times 4 parts .*; use 32 or 64$"):
    parallel.check_batch_size(48, mesh, key="train.batch_size", parts=4)
  parallel.check_batch_size(64, mesh, key="train.batch_size", parts=4)


@pytest.mark.parametrize("size", [8, 64])
def test_a_batch_that_can_be_split_is_accepted(size):
  mesh = parallel.make_mesh()
  parallel.check_batch_size(size, mesh, key="train.batch_size")


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
