"""Scores of target classes: what an attribution explains.

A score is the logit of a class, or its probability by softmax. Targets are (b,)
int32, one class per image. Models are in evaluation mode.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Tree = Any
# (model, variables, images (b, h, w, c), targets (b,)) -> (b, h, w) float32
Attribution = Callable[[nn.Module, Tree, jax.Array, jax.Array], jax.Array]
Kind = Literal["logit", "probability"]


def of_targets(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the value of each row of (b, k) at its target, (b,) float32."""
  chosen = jnp.take_along_axis(logits, targets[:, None], axis=1)
  return chosen[:, 0].astype(jnp.float32)


@functools.partial(jax.jit, static_argnames=("model", "kind"))
def scores(
  model: nn.Module,
  variables: Tree,
  images: jax.Array,
  targets: jax.Array,
  *,
  kind: Kind = "logit",
) -> jax.Array:
  """Returns the score of each image, (b,) float32.

  Args:
    model: any model.
    variables: the variables of the model.
    images: (b, h, w, c), normalised.
    targets: (b,).
    kind: "logit" or "probability".
  """
  logits = model.apply(variables, images, train=False)
  if kind == "probability":
    logits = jax.nn.softmax(logits.astype(jnp.float32))
  return of_targets(logits, targets)


@functools.partial(jax.jit, static_argnames="model")
def gradients(
  model: nn.Module, variables: Tree, images: jax.Array, targets: jax.Array
) -> jax.Array:
  """Returns the gradient of each logit by its image, (b, h, w, c) float32.

  The sum of the logits is differentiated once: in evaluation mode an image has
  no effect on the logits of the others.
  """

  def total(images: jax.Array) -> jax.Array:
    logits = model.apply(variables, images, train=False)
    return of_targets(logits, targets).sum()

  return jax.grad(total)(images.astype(jnp.float32))
