"""The tree of a checkpoint, from its file _METADATA.

A state without its class, such as that of an optimizer, is restored from this
description as nested dictionaries and lists of numpy arrays. The file lists the
arrays in the order of the save. Dictionaries have another order, and the
fingerprint depends on the order.
"""

import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxvision import files

Tree = Any


def template(folder: pathlib.Path) -> Tree:
  """The tree of a saved state, with placeholder arrays without memory.

  Args:
    folder: the folder `state` of a checkpoint.
  """
  with ocp.StandardCheckpointer() as checkpointer:
    described = checkpointer.metadata(folder).item_metadata.tree
  return jax.tree.map(
    lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape),
    described,
  )


def leaves(tree: Tree, folder: pathlib.Path) -> list[np.ndarray]:
  """The arrays of a restored tree, in the order of the save.

  Args:
    tree: a tree that was restored with `template`.
    folder: as for `template`.
  """
  saved = files.read_json(folder / "_METADATA")["tree_metadata"]
  parts = [_part(tree, entry["key_metadata"]) for entry in saved.values()]
  return jax.tree.leaves(parts)


def _part(tree: Tree, keys: list[dict[str, Any]]) -> Tree:
  for each in keys:
    name = each["key"]
    tree = tree[int(name)] if isinstance(tree, list) else tree[name]
  return tree
