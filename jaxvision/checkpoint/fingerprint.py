"""The fingerprint of a tree of arrays, by which a damaged copy is known."""

from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def of(tree: Tree) -> str:
  """16 hex digits that depend on every bit of every array, not on the mesh."""
  # Not the tree: names in it may be those of one run, and compiled for each.
  halves = jax.device_get(_hash(jax.tree.leaves(tree)))
  return "".join(f"{int(half):08x}" for half in halves)


@jax.jit
def _hash(leaves: list[jax.Array]) -> jax.Array:
  halves = jnp.zeros(2, jnp.uint32)
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
