"""Muon: the rows and columns of each parameter (Jordan et al. 2024)."""

from typing import Any

import jax
import optax
import optax.contrib

from jaxvision import trees

# Keller Jordan (2024): embeddings and classifiers are for Adam, as are vectors.
_MUON_LEAVES_TO_ADAM = ("embedding", "head", "fc")


def muon_dimensions(params: Any) -> Any:
  """Returns which axes of each parameter are the rows and columns of a matrix.

  Muon makes the updates of matrices orthogonal; optax takes only arrays of rank
  2 for matrices. Here every `kernel` of rank 2 or more is one, as its layer
  applies it: dense, in x out; convolution, (h, w, in) x out; of rank 3, in x
  (units, pieces) for maxout and in x (heads, features) for query, key and value
  of an attention, but (heads, features) x out for its `out`. None leaves to
  Adam all others, and the patch embedding and the classifier (`embedding`,
  `head`, `fc`).

  Args:
    params: tree of arrays or their shapes.

  Returns:
    A tree of `optax.contrib.MuonDimensionNumbers` or None.
  """
  axes = [
    _matrix_axes(path, leaf.ndim)
    for path, leaf in trees.flatten(params).items()
  ]
  return jax.tree.unflatten(jax.tree.structure(params), axes)


def _matrix_axes(
  path: str, rank: int
) -> optax.contrib.MuonDimensionNumbers | None:
  *_, layer, name = "", *path.split("/")
  if name != "kernel" or rank < 2 or layer in _MUON_LEAVES_TO_ADAM:
    return None
  first_column = 1 if rank == 3 and layer != "out" else rank - 1
  return optax.contrib.MuonDimensionNumbers(
    tuple(range(first_column)), tuple(range(first_column, rank))
  )
