"""Muon: the matrix axes of each parameter (Jordan et al. 2024)."""

from typing import Any

import jax
import optax
import optax.contrib

from jaxvision import trees

# Keller Jordan (2024): Adam updates embeddings, classifiers and vectors.
_MUON_LEAVES_TO_ADAM = ("embedding", "head", "fc")


def muon_dimensions(params: Any) -> Any:
  """Returns the axes of each parameter that are rows and columns of a matrix.

  Muon orthogonalises the updates of matrices; optax treats only arrays of rank
  2 as matrices. Here each `kernel` of rank 2 or more is a matrix, as its layer
  uses it: dense, in x out; convolution, (h, w, in) x out; rank 3, in x (units,
  pieces) for maxout and in x (heads, features) for query, key and value of an
  attention, but (heads, features) x out for its `out`. Adam updates all other
  parameters, and the patch embedding and the classifier (`embedding`, `head`,
  `fc`); they are None.

  Args:
    params: tree of arrays or shapes.

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
