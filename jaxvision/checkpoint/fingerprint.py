"""The fingerprint of a tree of arrays, by which a damaged copy is known."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def of(tree: Tree, *, at_once: int = 1 << 30) -> str:
  """16 hex digits that depend on every bit of every array, not on the mesh.

  Args:
    tree: of arrays.
    at_once: bytes of arrays that are hashed together. Arrays in the memory of
      the host are then on the device together.
  """
  halves = jnp.zeros(2, jnp.uint32)
  # Not the tree: names in it may be those of one run, and compiled for each.
  for group in _groups(jax.tree.leaves(tree), at_once):
    halves = _hash(jax.device_get(halves), group)
  return "".join(f"{int(half):08x}" for half in jax.device_get(halves))


def _groups(leaves: list[jax.Array], at_once: int) -> Iterator[list[jax.Array]]:
  group, size = [], 0
  for leaf in leaves:
    if group and size + leaf.nbytes > at_once:
      yield group
      group, size = [], 0
    group.append(leaf)
    size += leaf.nbytes
  if group:
    yield group


@jax.jit
def _hash(halves: jax.Array, leaves: list[jax.Array]) -> jax.Array:
  for leaf in leaves:
    halves = halves * jnp.uint32(2654435761) + _hash_array(leaf)
  return halves


def _hash_array(array: jax.Array) -> jax.Array:
  """(2,) uint32 sums over the bits, each weighted by an odd number of its own.

  Integer sums do not depend on their order, so neither on the sharding.
  """
  width = array.dtype.itemsize * 8
  bits = array
  if array.dtype != jnp.bool_:
    bits = jax.lax.bitcast_convert_type(array, f"uint{width}")
  bits = bits.astype(jnp.uint32)
  place = jnp.zeros(array.shape, jnp.uint32)
  for axis, size in enumerate(array.shape):
    place = place * jnp.uint32(size) + jax.lax.broadcasted_iota(
      jnp.uint32, array.shape, axis
    )
  odd = 2 * place + 1
  return jnp.stack(
    [jnp.sum(bits * odd), jnp.sum((bits ^ (bits >> 15)) * (odd * 40503 | 1))]
  )
