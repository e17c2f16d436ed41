"""Equal blocks one after another: written out, or scanned over.

Scanned blocks are compiled once instead of once each. Their variables stay
where they are, each block's under its own name, and are stacked inside the
computation: a checkpoint, a rule over parameter paths or an optimizer cannot
tell whether a model is scanned. What is sown or captured inside scanned blocks
is lost; whoever wants to look inside turns the scan off.
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
  """Returns the result of all blocks, each called with that of the one before.

  Args:
    blocks: bound modules with equal variables; their attributes may differ in
      numbers, such as a rate, which the block then gets as a traced array.
    x: input of the first; every block keeps its shape and dtype.
    scan: whether to scan over the blocks. Random streams then differ from those
      of blocks written out.
    **options: further arguments of every block.
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
  """Returns the attributes in which the blocks differ, (n,) each."""
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
  """Gives every block its part of the updated collections."""
  for i, block in enumerate(blocks):
    for collection, variables in updates.items():
      for name, value in variables.items():
        part = jax.tree.map(lambda leaf, i=i: leaf[i], value)
        block.put_variable(collection, name, part)
