"""The fingerprint depends on every bit and not on the sharding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import parallel
from jaxvision.checkpoint import fingerprint


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_a_fingerprint_does_not_depend_on_the_devices(devices):
  mesh = parallel.make_mesh(jax.devices()[:devices])
  tree = {"kernel": np.linspace(0, 1, 50), "step": np.int32(7)}
  expected = fingerprint.of(tree)
  assert len(expected) == 16
  placed = jax.device_put(tree, parallel.replicated(mesh))
  assert fingerprint.of(placed) == expected
  rows = np.arange(64, dtype=np.float32).reshape(16, 4)
  split = parallel.put_batch(rows, mesh)
  assert fingerprint.of(split) == fingerprint.of(rows)


_TYPES = ("float32", "bfloat16", "int32", "uint32", "uint8", "bool")


@pytest.mark.parametrize("dtype", _TYPES)
def test_a_fingerprint_depends_on_every_bit(dtype):
  array = np.arange(6).astype(jnp.dtype(dtype))
  width = 8 * array.dtype.itemsize
  found = {fingerprint.of(array)}
  bits = [0] if dtype == "bool" else range(width)
  for place in range(6):
    for bit in bits:
      changed = array.view(f"uint{width}").copy()
      changed[place] ^= changed.dtype.type(1 << bit)
      found.add(fingerprint.of(changed.view(array.dtype)))
  assert len(found) == 1 + 6 * len(bits)


@pytest.mark.parametrize("distance", [1, 2, 128, 256, 512])
def test_a_fingerprint_depends_on_the_order(distance):
  """Powers of two differ in their highest bits only."""
  array = np.ones(1024, np.float32)
  array[0], array[distance] = 2.0, 4.0
  swapped = array.copy()
  swapped[0], swapped[distance] = 4.0, 2.0
  assert fingerprint.of(array) != fingerprint.of(swapped)


def test_a_fingerprint_tells_leaves_apart():
  a, b = jnp.arange(3.0), jnp.arange(3.0) + 1
  assert fingerprint.of([a, b]) != fingerprint.of([b, a])


def test_a_fingerprint_tells_minus_zero_from_zero():
  zero = jnp.zeros(3)
  assert fingerprint.of(zero) != fingerprint.of(-zero)
