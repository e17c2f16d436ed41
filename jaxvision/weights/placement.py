"""The leaves of a model's variables: their shapes, and where they shall lie."""

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
  """Returns shape and type of every variable by path."""
  return trees.flatten(variable_shapes(model, image_shape=image_shape))


def put(array: np.ndarray, leaf: str, sharding: Placement) -> jax.Array:
  """Returns the array on the devices that `sharding` says for this path.

  The copy is awaited: copies that queue up keep what they read in memory.
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
