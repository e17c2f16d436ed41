"""The tree of a checkpoint as its file _METADATA describes it.

A state whose class is not at hand, such as that of an optimizer, is restored
by this description as nested dictionaries and lists of numpy arrays. The file
lists the arrays in the order in which they were saved. Dictionaries have
another order, and the fingerprint depends on it.
"""

import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxvision import files

Tree = Any


def template(folder: pathlib.Path) -> Tree:
  """The tree of a saved state, with arrays that need no memory.

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
  """The arrays of a restored tree, in the order in which they were saved.

  Args:
    tree: restored by `template`.
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
