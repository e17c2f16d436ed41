"""The variables of any model: initial values, or shapes without arrays.

A model is a Linen module that maps images (b, h, w, c) to logits by
`__call__(images, *, train)`. `image_shape` is always (h, w, c).
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision.xla import batched_init

Tree = Any


def variable_shapes(
  model: nn.Module, *, image_shape: tuple[int, int, int]
) -> Tree:
  """Returns the model's variables as a tree of `jax.ShapeDtypeStruct`."""
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), one_image(image_shape))


def one_image(image_shape: tuple[int, int, int]) -> jax.ShapeDtypeStruct:
  """The shape of a batch of one image, (1, h, w, c) float32."""
  return jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)


def init_variables(
  model: nn.Module, seed: int, image_shape: tuple[int, int, int]
) -> Tree:
  """Initial variables of a model for images (h, w, c); call it under jit."""
  images = jnp.zeros((1, *image_shape), jnp.float32)
  return model.init(jax.random.key(seed), images, train=False)


def draw(
  model: nn.Module, *, image_shape: tuple[int, int, int], seed: int = 0
) -> Tree:
  """Returns initial variables of a model for images (h, w, c)."""
  return batched_init.jit(
    functools.partial(init_variables, model, seed, image_shape)
  )()
