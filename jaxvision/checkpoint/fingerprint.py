"""The fingerprint of a tree of arrays, which detects damage."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def of(tree: Tree, *, at_once: int = 1 << 30) -> str:
  """16 hex digits from every bit of every array, independent of the mesh.

  Args:
    tree: tree of arrays.
    at_once: bytes of arrays that are hashed together. Arrays in host memory are
      copied to the device together.
  """
  halves = jnp.zeros(2, jnp.uint32)
  # Hash the list of leaves: a tree with other names would compile again.
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
  """(2,) uint32 sums over the elements, each with its own odd weight.

  Integer sums do not depend on the order, so not on the sharding either.
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
