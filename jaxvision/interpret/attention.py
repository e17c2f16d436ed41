"""Attention weights of any Transformer, and maps per layer and head.

Weights are read from each module with a method `attend(query, key, value)` of
arrays (b, m, heads, head_size), as in `jaxvision.layers.transformer`. They are
(b, heads, m, n) float32; rows are queries and add up to 1. Weights (..., n, n)
below have one row and one column per token: class tokens, patches row by row,
registers. The model is not changed.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision import lookup
from jaxvision.interpret import feature_maps, heat_maps, layers, scores
from jaxvision.interpret.feature_maps import Grid

Tree = Any
Weights = dict[str, jax.Array]


def attention_weights(
  model: nn.Module, variables: Tree, images: jax.Array
) -> Weights:
  """Returns the attention weights of each layer, in the order of calls.

  Args:
    model: a model with attention, such as a ViT.
    variables: the variables of the model.
    images: (b, h, w, c), normalised.

  Returns:
    {path of the attention: (b, heads, n, n)}. Attention pooling has (b, heads,
    1, n). Note that `jax.jit` returns a dict in the order of its keys.

  Raises:
    ValueError: the model has no attention.
  """
  _, found = _apply(model, variables, images, {})
  return found


def weights_and_gradients(
  model: nn.Module, variables: Tree, images: jax.Array, targets: jax.Array
) -> tuple[Weights, Weights]:
  """Returns the weights, and the gradients of the targets' logits by them.

  The weights are those behind the softmax: a gradient is by one weight, with
  all others constant.

  Raises:
    ValueError: the model has no attention.
  """
  _, shapes = jax.eval_shape(
    functools.partial(_apply, model, added={}), variables, images
  )
  zeros = {path: jnp.zeros(each.shape) for path, each in shapes.items()}

  paths = []

  def total(zeros: Weights) -> tuple[jax.Array, list[jax.Array]]:
    logits, found = _apply(model, variables, images, zeros)
    paths[:] = found
    return scores.of_targets(logits, targets).sum(), list(found.values())

  # jax returns a dict in the order of its keys, where block_10 is before
  # block_2; so the order of calls is kept separately.
  gradients, weights = jax.grad(total, has_aux=True)(zeros)
  found = dict(zip(paths, weights, strict=True))
  return found, {path: gradients[path] for path in paths}


def _apply(
  model: nn.Module, variables: Tree, images: jax.Array, added: Weights
) -> tuple[jax.Array, Weights]:
  """Returns logits and weights, with arrays added to the weights."""
  with _visible(added) as found:
    logits = layers.written_out(model).apply(variables, images, train=False)
  if not found:
    raise ValueError(
      f"{type(model).__name__} has no attention; expected a layer with a "
      "method attend(query, key, value), as in a ViT"
    )
  return logits, found


@contextlib.contextmanager
def _visible(added: Mapping[str, jax.Array]) -> Iterator[Weights]:
  """Computes attention with explicit weights, and collects them."""
  found: Weights = {}

  def observe(call, args, kwargs, context):
    if context.method_name != "attend":
      return call(*args, **kwargs)
    query, key, value = args
    path = "/".join(context.module.path)
    products = jnp.einsum("bmhd,bnhd->bhmn", query, key)
    products = products.astype(jnp.float32) * query.shape[-1] ** -0.5
    found[path] = jax.nn.softmax(products)
    weights = found[path] + added[path] if path in added else found[path]
    return jnp.einsum("bhmn,bnhd->bmhd", weights.astype(value.dtype), value)

  with nn.intercept_methods(observe):
    yield found


def token_grid(model: nn.Module, variables: Tree, images: Any) -> Grid:
  """Returns the grid of the tokens that attend to each other.

  Raises:
    ValueError: the model has no tokens of patches.
  """
  found = feature_maps.calls(model, variables, images)
  grid = feature_maps.patch_grid(model, found)
  if grid is None:
    raise ValueError(
      f"{type(model).__name__} has no tokens of patches; expected a layer that "
      "maps (b, h, w, c) to (b, n, c), as the patch embedding of a ViT"
    )
  return grid


def self_attention(found: Weights) -> Weights:
  """Returns the weights between all tokens, without attention pooling."""
  return {
    path: each
    for path, each in found.items()
    if each.shape[-2] == each.shape[-1]
  }


def check(model: nn.Module, variables: Tree, images: Any) -> None:
  """Raises ValueError without attention between patches; traces only."""
  found = jax.eval_shape(
    functools.partial(attention_weights, model), variables, images
  )
  if not self_attention(found):
    raise ValueError(
      f"{type(model).__name__} has no attention between tokens; expected at "
      "least one block"
    )
  token_grid(model, variables, images)


def of_patches(rows: jax.Array, grid: Grid) -> jax.Array:
  """Returns the patches' columns of (..., n), (..., rows, columns)."""
  patches = rows[..., grid.patches]
  return patches.reshape(*rows.shape[:-1], grid.rows, grid.columns)


def read_out(
  weights: jax.Array, grid: Grid, pooling: jax.Array | None = None
) -> jax.Array:
  """Returns how much the classifier attends to each token, (..., n).

  Args:
    weights: (..., n, n).
    grid: the grid of the tokens.
    pooling: weights of attention pooling, (..., n); they are the weights of the
      rows. Without it, the rows of the class tokens are averaged; without class
      tokens, those of the patches.
  """
  if pooling is not None:
    others = weights.shape[-2] - pooling.shape[-1]  # registers are not pooled
    pad = [(0, 0)] * (pooling.ndim - 1) + [(0, others)]
    return jnp.einsum("...m,...mn->...n", jnp.pad(pooling, pad), weights)
  read = slice(grid.before) if grid.before else slice(grid.size)
  return weights[..., read, :].mean(axis=-2)


def pooling_weights(found: Weights) -> jax.Array | None:
  """Returns the mean over heads of attention pooling, (b, n), or None."""
  pooled = [each for each in found.values() if each.shape[-2] == 1]
  return pooled[-1].mean(axis=1)[:, 0] if pooled else None


def attention_maps(
  model: nn.Module, variables: Tree, images: jax.Array
) -> dict[str, jax.Array]:
  """Returns maps of the attention to patches, per layer and head.

  Returns:
    {path: (b, heads, rows, columns)}: the row of the class token; without a
    class token, the mean over the rows of the patches.

  Raises:
    ValueError: the model has no attention, or no tokens of patches.
  """
  grid = token_grid(model, variables, images)
  found = self_attention(attention_weights(model, variables, images))
  return {
    path: of_patches(read_out(each, grid), grid) for path, each in found.items()
  }


def attention(
  *,
  layer: str | None = None,
  head: int | None = None,
  size: heat_maps.Size = "image",
) -> scores.Attribution:
  """The attention of the class token to the patches; targets have no effect.

  Args:
    layer: path of an attention, as in `attention_maps`; None for the last one.
    head: number of a head, from 0; None for the mean over heads.
    size: "image" resizes to the images, "layer" keeps the grid of the patches.
  """
  return functools.partial(_attention, layer=layer, head=head, size=size)


@functools.partial(jax.jit, static_argnames=("model", "layer", "head", "size"))
def _attention(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  layer: str | None,
  head: int | None,
  size: heat_maps.Size,
) -> jax.Array:
  del targets
  found = attention_maps(model, variables, images)
  chosen = layer or list(found)[-1]
  if chosen not in found:
    raise ValueError(lookup.unknown("attention", chosen, found))
  maps = found[chosen]
  if head is not None and not 0 <= head < maps.shape[1]:
    raise ValueError(
      f"head is {head}, but {chosen} has {maps.shape[1]} heads; use 0 to "
      f"{maps.shape[1] - 1}"
    )
  maps = maps.mean(axis=1) if head is None else maps[:, head]
  return heat_maps.finished(maps, images.shape[1:3], sign="positive", size=size)
