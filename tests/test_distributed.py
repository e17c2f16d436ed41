"""Tests of jaxvision.distributed on eight virtual devices."""

import glob
import re

import jax
import numpy as np
import pytest

from jaxvision import distributed


def test_mesh_is_of_all_devices_along_data():
  mesh = distributed.make_mesh()
  assert dict(mesh.shape) == {"data": 8}
  assert list(mesh.devices) == jax.devices()
  assert distributed.describe(mesh) == "8 x cpu"
  assert distributed.make_mesh(jax.devices()[:3]).size == 3


@pytest.mark.parametrize("axis", [0, 1])
def test_a_batch_is_split_in_order_along_its_axis(axis):
  mesh = distributed.make_mesh()
  rows = np.moveaxis(np.arange(48).reshape(16, 3), 0, axis)
  placed = distributed.put_batch({"label": rows}, mesh, axis=axis)["label"]
  np.testing.assert_array_equal(placed, rows)
  for number, shard in enumerate(placed.addressable_shards):
    assert shard.device == mesh.devices[number]
    part = rows.take(range(2 * number, 2 * number + 2), axis)
    np.testing.assert_array_equal(shard.data, part)


def test_replicated_is_whole_on_every_device():
  mesh = distributed.make_mesh()
  array = jax.device_put(np.arange(5), distributed.replicated(mesh))
  assert len(array.addressable_shards) == 8
  for shard in array.addressable_shards:
    np.testing.assert_array_equal(shard.data, np.arange(5))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_rows_of_all_processes_are_the_batch(monkeypatch, processes):
  monkeypatch.setattr(jax, "process_count", lambda: processes)
  seen = []
  for process in range(processes):
    monkeypatch.setattr(jax, "process_index", lambda p=process: p)
    seen.extend(range(24)[distributed.local_rows(24)])
  assert seen == list(range(24))


@pytest.mark.parametrize(
  ("size", "remedy"),
  [(12, "8 or 16"), (3, "8"), (0, "8"), (-3, "8"), (17, "16 or 24")],
)
def test_a_batch_that_cannot_be_split_names_those_that_can(size, remedy):
  mesh = distributed.make_mesh()
  message = f"train.batch_size {size} does not divide over 8 devices; use "
  with pytest.raises(ValueError, match=re.escape(message + remedy) + "$"):
    distributed.check_batch_size(size, mesh, key="train.batch_size")


@pytest.mark.parametrize("size", [8, 64])
def test_a_batch_that_can_be_split_is_accepted(size):
  mesh = distributed.make_mesh()
  distributed.check_batch_size(size, mesh, key="train.batch_size")


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
  assert distributed.idle_accelerators() == found
