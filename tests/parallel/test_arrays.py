"""Tests of jaxvision.parallel.arrays on eight virtual devices."""

import re

import fake_devices
import jax
import numpy as np
import pytest

from jaxvision import parallel


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
  mesh = parallel.make_mesh(
    [fake_devices.Device(i, i // count) for i in range(8)]
  )
  seen = []
  for process in range(processes):
    monkeypatch.setattr(jax, "process_index", lambda p=process: p)
    rows = parallel.local_rows(24, mesh)
    assert isinstance(rows, slice)
    seen.extend(range(24)[rows])
  assert seen == list(range(24))


def test_rows_follow_the_devices_where_processes_are_no_neighbours(monkeypatch):
  """As on a TPU pod, whose mesh does not follow the hosts."""
  mesh = parallel.make_mesh(
    [fake_devices.Device(i, i // 2 % 2) for i in range(8)]
  )
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
