"""Attention rollout: attention of the output to the input, over all layers.

Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, section 3.
Weights are (layers, ..., n, n), the first layer first; rows are queries.
"""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.interpret import attention, attention_flow, heat_maps
from jaxvision.interpret.scores import Attribution
from jaxvision.lookup import ranges

Tree = Any
Fusion = Literal["mean", "max", "min"]


def with_residual(weights: jax.Array, *, residual: float = 0.5) -> jax.Array:
  """Returns weights with the residual connection, with rows that add up to 1.

  Args:
    weights: (..., n, n), not negative.
    residual: the share of the identity; 0.5 gives (A + I) / 2 for rows that add
      up to 1.
  """
  identity = jnp.broadcast_to(jnp.eye(weights.shape[-1]), weights.shape)
  mixed = (1 - residual) * weights + residual * identity
  return mixed / mixed.sum(axis=-1, keepdims=True)


def attention_rollout(
  weights: jax.Array, *, residual: ranges.Probability = 0.5
) -> jax.Array:
  """Returns the product of the weights of all layers, (..., n, n).

  R_1 = A'_1 and R_l = A'_l R_(l-1), where A' is A with the residual connection.

  Args:
    weights: (layers, ..., n, n), the mean over heads.
    residual: the share of the residual connection, 0 without it.
  """
  mixed = with_residual(weights, residual=residual)
  return functools.reduce(lambda before, layer: layer @ before, mixed)


def fused(weights: jax.Array, heads: Fusion) -> jax.Array:
  """Returns one matrix for the heads of (..., heads, n, n)."""
  fusions = {"mean": jnp.mean, "max": jnp.max, "min": jnp.min}
  return fusions[heads](weights, axis=-3)


def rollout(
  *,
  heads: Fusion = "mean",
  residual: ranges.Probability = 0.5,
  size: heat_maps.Size = "image",
) -> Attribution:
  """Attention rollout; targets have no effect.

  Args:
    heads: how the heads of a layer are joined; "mean" in the paper.
    residual: the share of the residual connection.
    size: "image" resizes to the images, "layer" keeps the grid of the patches.
  """
  return functools.partial(_rollout, heads=heads, residual=residual, size=size)


@functools.partial(
  jax.jit, static_argnames=("model", "heads", "residual", "size")
)
def _rollout(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  heads: Fusion,
  residual: float,
  size: heat_maps.Size,
) -> jax.Array:
  del targets
  found = attention.attention_weights(model, variables, images)
  weights = [
    fused(each, heads) for each in attention.self_attention(found).values()
  ]
  rolled = attention_rollout(jnp.stack(weights), residual=residual)
  maps = _read(model, variables, images, rolled, found)
  return heat_maps.finished(maps, images.shape[1:3], sign="positive", size=size)


def gradient_rollout(*, size: heat_maps.Size = "image") -> Attribution:
  """Rollout of attention times its gradient, for a target.

  The weights of a layer are the mean over heads of weight times gradient of the
  target's logit by it, with 0 for negative means; then as `rollout`. It is the
  gradient rollout of github.com/jacobgil/vit-explain. Chefer et al. 2021,
  Generic Attention-model Explainability, take the positive part before the
  mean.

  Args:
    size: "image" resizes to the images, "layer" keeps the grid of the patches.
  """
  return functools.partial(_gradient_rollout, size=size)


@functools.partial(jax.jit, static_argnames=("model", "size"))
def _gradient_rollout(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  size: heat_maps.Size,
) -> jax.Array:
  found, gradients = attention.weights_and_gradients(
    model, variables, images, targets
  )
  weights = [
    jnp.maximum((each * gradients[path]).mean(axis=-3), 0)
    for path, each in attention.self_attention(found).items()
  ]
  rolled = attention_rollout(jnp.stack(weights))
  maps = _read(model, variables, images, rolled, found)
  return heat_maps.finished(maps, images.shape[1:3], sign="positive", size=size)


def flow(*, size: heat_maps.Size = "image") -> Attribution:
  """Attention flow from the output to each patch; targets have no effect.

  For at most `attention_flow.MOST_TOKENS` tokens. Without a class token the
  flows of all patches are averaged.

  Args:
    size: "image" resizes to the images, "layer" keeps the grid of the patches.
  """
  return functools.partial(_flow, size=size)


def check_flow(model: nn.Module, variables: Tree, images: Any) -> None:
  """Raises ValueError without attention, or with many tokens; traces only."""
  attention.check(model, variables, images)
  grid = attention.token_grid(model, variables, images)
  attention_flow.check_tokens(grid.tokens)


def _flow(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  size: heat_maps.Size,
) -> jax.Array:
  del targets
  grid = attention.token_grid(model, variables, images)
  n = grid.tokens
  attention_flow.check_tokens(n)
  mixed, pooling = _mixed(model, variables, images)
  queries = grid.before or grid.size
  flows = [
    attention_flow.attention_flow(each, queries=queries)
    for each in np.asarray(mixed).swapaxes(0, 1)
  ]
  rows = jnp.zeros((len(flows), n, n)).at[:, :queries].set(np.stack(flows))
  maps = attention.of_patches(attention.read_out(rows, grid, pooling), grid)
  return heat_maps.finished(maps, images.shape[1:3], sign="positive", size=size)


@functools.partial(jax.jit, static_argnames="model")
def _mixed(
  model: nn.Module, variables: Tree, images: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
  """Returns weights (layers, b, n, n) with residual, and those of a pooling."""
  found = attention.attention_weights(model, variables, images)
  between = attention.self_attention(found).values()
  weights = jnp.stack([fused(each, "mean") for each in between])
  return with_residual(weights), attention.pooling_weights(found)


def _read(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  rolled: jax.Array,
  found: attention.Weights,
) -> jax.Array:
  """Returns the classifier's attention to the patches, (b, rows, columns)."""
  grid = attention.token_grid(model, variables, images)
  pooling = attention.pooling_weights(found)
  return attention.of_patches(attention.read_out(rolled, grid, pooling), grid)
