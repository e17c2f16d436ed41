"""A sequence of equal blocks: a Python loop, or a scan.

Scanned blocks are compiled once instead of once each. Each block keeps its
variables under its own name; they are stacked inside the computation. So
checkpoints, rules over parameter paths and optimizers are the same with and
without a scan. Values that are sown or captured inside scanned blocks are lost;
turn the scan off to get them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Tree = Any

_LINEN_FIELDS = ("parent", "name")


def apply(
  blocks: Sequence[nn.Module], x: jax.Array, *, scan: bool, **options: Any
) -> jax.Array:
  """Applies all blocks in sequence.

  Args:
    blocks: bound modules with equal variables. Their attributes may differ in
      numbers, such as a rate; in a scan these numbers are traced arrays.
    x: input of the first block; each block keeps its shape and dtype.
    scan: whether to scan over the blocks. The random streams then differ from
      those of the loop.
    **options: further arguments of each block.
  """
  if not scan or len(blocks) < 2 or blocks[0].is_initializing():
    for block in blocks:
      x = block(x, **options)
    return x
  block = blocks[0].clone(parent=None, name=None)
  state = [c for c in blocks[0].variables if _is_state(blocks[0], c)]

  def one(x, inputs):
    variables, numbers, keys = inputs
    return block.clone(**numbers).apply(
      variables, x, rngs=keys, mutable=state, **options
    )

  variables = jax.tree.map(
    lambda *each: jnp.stack(each), *(dict(b.variables) for b in blocks)
  )
  inputs = (variables, _numbers(blocks), _keys(blocks))
  x, updates = jax.lax.scan(one, x, inputs)
  _write(blocks, updates)
  return x


def _is_state(block: nn.Module, collection: str) -> bool:
  return collection != "params" and block.is_mutable_collection(collection)


def _numbers(blocks: Sequence[nn.Module]) -> dict[str, jax.Array]:
  """Returns the attributes that differ between blocks, (n,) each."""
  values = {
    field.name: [getattr(block, field.name) for block in blocks]
    for field in dataclasses.fields(blocks[0])
    if field.init and field.name not in _LINEN_FIELDS
  }
  return {
    name: jnp.asarray(each, jnp.float32)
    for name, each in values.items()
    if any(value != each[0] for value in each)
  }


def _keys(blocks: Sequence[nn.Module]) -> dict[str, jax.Array]:
  if not blocks[0].has_rng("dropout"):
    return {}
  key = blocks[0].make_rng("dropout")
  return {"dropout": jax.random.split(key, len(blocks))}


def _write(blocks: Sequence[nn.Module], updates: Tree) -> None:
  """Writes the updated collections back to each block."""
  for i, block in enumerate(blocks):
    for collection, variables in updates.items():
      for name, value in variables.items():
        part = jax.tree.map(lambda leaf, i=i: leaf[i], value)
        block.put_variable(collection, name, part)
