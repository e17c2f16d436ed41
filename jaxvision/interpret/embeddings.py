"""Embeddings of patches: components of the filters, similarity of positions.

Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, figure 7, left and
centre.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.interpret import attention, feature_maps, layers
from jaxvision.interpret.feature_maps import Grid

Tree = Any


def filter_components(
  kernel: np.ndarray, *, count: int = 28
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the principal components of filters, and their explained variance.

  A filter is one sample. The mean filter is subtracted, and variances are not
  scaled. The largest value of a component is positive.

  Args:
    kernel: (h, w, c, n), such as that of a patch embedding; see `first_kernel`.
    count: number of components; 28 in the figure.

  Returns:
    (count, h, w, c) float32 of length 1, and (count,) float32, each the share
    of all variance.

  Raises:
    ValueError: there are fewer components.
  """
  h, w, c, n = kernel.shape
  most = min(h * w * c, n)
  if not 1 <= count <= most:
    raise ValueError(
      f"count is {count}, but filters of shape {(h, w, c)} and number {n} have "
      f"{most} components; use 1 to {most}"
    )
  samples = np.asarray(kernel, np.float64).reshape(-1, n).T
  samples = samples - samples.mean(axis=0, keepdims=True)
  _, sizes, components = np.linalg.svd(samples, full_matrices=False)
  largest = np.take_along_axis(
    components, np.abs(components).argmax(axis=1)[:, None], axis=1
  )
  components = (components * np.sign(largest))[:count].reshape(count, h, w, c)
  variance = np.square(sizes)
  explained = variance[:count] / variance.sum()
  return components.astype(np.float32), explained.astype(np.float32)


def position_embeddings(
  model: nn.Module, variables: Tree, *, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, Grid]:
  """Returns the vectors that a model adds to its patches by their positions.

  They are read from the input of the first block while the patch embedding
  gives zeros, so learned and fixed vectors are found in one way. Class tokens
  and registers are left out.

  Args:
    model: a model with tokens of patches.
    variables: the variables of the model.
    image_shape: (h, w, c).

  Returns:
    (rows * columns, width) float32, and the grid.

  Raises:
    ValueError: the model has no tokens of patches, or adds nothing to them.
  """
  model = layers.written_out(model)
  images = jnp.zeros((1, *image_shape))
  grid = attention.token_grid(model, variables, images)
  table = np.asarray(_first_tokens(model, variables, images, grid=grid))
  if not table.any():
    raise ValueError(
      f"{type(model).__name__} adds no positions to its patches, so that they "
      "have no similarity; expected learned or fixed position embeddings"
    )
  return table, grid


@functools.partial(jax.jit, static_argnames=("model", "grid"))
def _first_tokens(
  model: nn.Module, variables: Tree, images: jax.Array, *, grid: Grid
) -> jax.Array:
  """Returns the patches that the first block reads, if they start as zeros."""
  found = feature_maps.calls(model, variables, images)
  embedding, received = feature_maps.patch_embedding(found).path, []

  def observe(call, args, kwargs, context):
    path = context.module.path
    if path[-1:] == ("LayerNorm_0",):
      received.append(args[0])
    output = call(*args, **kwargs)
    return jnp.zeros_like(output) if "/".join(path) == embedding else output

  with nn.intercept_methods(observe):
    model.apply(variables, images, train=False)
  if not received:
    raise ValueError(
      f"{type(model).__name__} has no block with a layer 'LayerNorm_0', whose "
      "input would be the tokens with positions"
    )
  tokens = received[0][0, grid.patches]
  return tokens.astype(jnp.float32)


def position_similarity(table: np.ndarray, *, grid: Grid) -> np.ndarray:
  """Returns the cosine of the vectors of each pair of positions.

  Args:
    table: (rows * columns, width), as from `position_embeddings`.
    grid: the grid of the patches.

  Returns:
    (rows, columns, rows, columns) float32: a map for each position.

  Raises:
    ValueError: the table does not fit the grid, or a vector is zero.
  """
  table = np.asarray(table, np.float64)
  if len(table) != grid.size:
    raise ValueError(
      f"the table has {len(table)} vectors, but the grid {grid.rows}x"
      f"{grid.columns}; leave out the class token"
    )
  lengths = np.linalg.norm(table, axis=1, keepdims=True)
  if not lengths.all():
    raise ValueError(
      f"the vectors {np.flatnonzero(lengths[:, 0] == 0).tolist()} are zero and "
      "have no direction; train the model first"
    )
  unit = table / lengths
  shape = (grid.rows, grid.columns) * 2
  return (unit @ unit.T).reshape(shape).astype(np.float32)
