"""Where a training starts: at drawn variables, or at those of a file."""

import functools
import logging
from typing import Any

import flax.linen as nn
import jax
from ml_collections import config_dict

from jaxvision import assembly, grouping, train_step, trees, weights

Tree = Any

_LOGGER = logging.getLogger(__name__)


def draw(
  model: nn.Module, *, image_shape: tuple[int, int, int], seed: int = 0
) -> Tree:
  """Returns fresh variables of a model for images (h, w, c)."""
  return grouping.jit(
    functools.partial(train_step.init_variables, model, seed, image_shape)
  )()


def with_implied_options(
  config: config_dict.FrozenConfigDict,
) -> config_dict.FrozenConfigDict:
  """Adds to the model's options those that its weights imply.

  They stand in the config of the run, which then no longer needs the file.
  """
  if not config.model.weights:
    return config
  implied = weights.implied_options(config.model.weights, config.model.name)
  values = config.to_dict()
  values["model"]["options"] = {**implied, **values["model"]["options"]}
  return config_dict.FrozenConfigDict(values)


def make_state(parts: assembly.Parts) -> train_step.TrainState:
  """Returns the state of step 0: drawn, or with the weights of a file.

  The classifier of a file is replaced by zeros.

  Raises:
    trees.NotFinite: the file holds a NaN or an infinity.
  """
  model = parts.config.model
  if not model.weights:
    return parts.init()
  height, width, channels = parts.image_shape
  shardings = jax.tree.map(lambda leaf: leaf.sharding, parts.template)
  of_leaf = trees.flatten(shardings.variables)
  _, variables = weights.load(
    model.weights,
    model.name,
    num_classes=parts.model.num_classes,
    image_size=(height, width),
    channels=channels,
    ignore=model.ignore,
    sharding=lambda path, shape: of_leaf[path],
    **model.options.to_dict(),
  )
  trees.check_finite(variables, what=model.weights)
  _LOGGER.info("starting from %s", model.weights)
  make_state = functools.partial(
    assembly.init_state, parts.config, optimizer=parts.optimizer
  )
  return jax.jit(make_state, out_shardings=shardings)(variables)
