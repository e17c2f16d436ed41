"""The mean distance that the heads of a Transformer attend over, in pixels."""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.interpret import attention
from jaxvision.interpret.feature_maps import Grid

Tree = Any


def distances(grid: tuple[int, int], *, patch_size: float) -> np.ndarray:
  """Returns the distances between the centres of patches, (n, n), in pixels."""
  places = np.indices(grid).reshape(2, -1).T * patch_size
  return np.linalg.norm(places[:, None] - places[None], axis=-1)


def mean_attention_distance(
  weights: jax.Array,
  *,
  grid: Grid,
  patch_size: float,
  rows: Literal["kept", "renormalised"] = "kept",
) -> jax.Array:
  """Returns the mean distance that each head attends over, in pixels.

  Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, figures 7 and 11: the
  mean over the patches of the sum of weight times distance. Class tokens and
  registers have no place, so their rows and columns are removed.

  Args:
    weights: (..., n, n).
    grid: the grid of the tokens.
    patch_size: distance of neighbouring patches, in pixels.
    rows: "kept" does not change the weights of the patches, so that weight on a
      class token counts as distance 0; "renormalised" divides them by their
      sum. The paper does not say which.

  Returns:
    (...) float32.
  """
  weights = weights[..., grid.patches, grid.patches]
  if rows == "renormalised":
    weights = weights / weights.sum(axis=-1, keepdims=True)
  apart = distances((grid.rows, grid.columns), patch_size=patch_size)
  apart = jnp.asarray(apart, jnp.float32)
  return jnp.einsum("...mn,mn->...", weights, apart) / grid.size


@functools.partial(jax.jit, static_argnames=("model", "rows"))
def attention_distances(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  *,
  rows: Literal["kept", "renormalised"] = "kept",
) -> jax.Array:
  """Returns the mean attention distances, (b, layers, heads), in pixels.

  Args:
    model: a model with attention between patches.
    variables: the variables of the model.
    images: (b, h, w, c), normalised.
    rows: as for `mean_attention_distance`.

  Raises:
    ValueError: the model has no attention, or no tokens of patches.
  """
  grid = attention.token_grid(model, variables, images)
  found = attention.self_attention(
    attention.attention_weights(model, variables, images)
  )
  measure = functools.partial(
    mean_attention_distance,
    grid=grid,
    patch_size=images.shape[1] / grid.rows,
    rows=rows,
  )
  return jnp.stack([measure(each) for each in found.values()], axis=1)
