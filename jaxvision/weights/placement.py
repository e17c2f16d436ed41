"""Shapes, placement on devices and initial values of a model's variables."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxvision import trees
from jaxvision.variables import init_variables, variable_shapes
from jaxvision.weights.layout import Shape
from jaxvision.xla import batched_init

Placement = jax.sharding.Sharding | Callable[[str, Shape], Any] | None


def shapes(model: nn.Module, image_shape: Shape) -> dict[str, Any]:
  """Returns {path: shape and type} of the variables."""
  return trees.flatten(variable_shapes(model, image_shape=image_shape))


def put(array: np.ndarray, leaf: str, sharding: Placement) -> jax.Array:
  """Copies an array to the devices of its sharding.

  It waits for the copy, because pending copies keep their source in memory.
  """
  if callable(sharding) and not isinstance(sharding, jax.sharding.Sharding):
    sharding = sharding(leaf, array.shape)
  return jax.block_until_ready(jax.device_put(array, sharding))


def draw(
  model: nn.Module,
  names: Sequence[str],
  image_shape: Shape,
  sharding: Placement,
) -> dict[str, jax.Array]:
  """Returns the initial values of some leaves."""

  def init() -> dict[str, jax.Array]:
    drawn = trees.flatten(init_variables(model, 0, image_shape))
    return {leaf: drawn[leaf] for leaf in names}

  drawn = batched_init.jit(init)()
  return {leaf: put(np.asarray(x), leaf, sharding) for leaf, x in drawn.items()}
