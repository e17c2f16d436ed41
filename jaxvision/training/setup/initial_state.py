"""The initial state of a training: random variables, or weights of a file."""

import functools
import logging
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import config_dict

from jaxvision import trees, weights
from jaxvision.config import ConfigDict
from jaxvision.downloads import redaction
from jaxvision.tasks import contract
from jaxvision.training.setup import from_config
from jaxvision.training.setup.parts import Parts
from jaxvision.training.step import TrainState

Tree = Any

_LOGGER = logging.getLogger(__name__)


def with_implied_options(
  config: config_dict.FrozenConfigDict,
) -> config_dict.FrozenConfigDict:
  """Adds the model options and the normalisation that the weights imply.

  An empty mean or std of the config is replaced by that of the weights. If the
  config has a different value, a warning is logged. The values become a part of
  the run's config, so a resumed run does not need the file.
  """
  if not config.model.weights:
    return config
  implied = weights.implied_options(config.model.weights, config.model.name)
  values = config.to_dict()
  values["model"]["options"] = {**implied, **values["model"]["options"]}
  values["data"] |= _normalization(config)
  return config_dict.FrozenConfigDict(values)


def _normalization(
  config: config_dict.FrozenConfigDict,
) -> dict[str, tuple[float, ...]]:
  """data.mean and data.std of the config; if empty, those of the weights."""
  # The image size has no effect here: the recipe sets it.
  implied = weights.preprocessing(
    config.model.weights, config.model.name, image_size=(1, 1)
  )
  found = {}
  for key in ("mean", "std"):
    stated, theirs = config.data[key], getattr(implied, key)
    if len(theirs) not in (1, config.data.channels):
      theirs = (sum(theirs) / len(theirs),)
    found[key] = tuple(stated) or theirs
    if not stated:
      _LOGGER.info("data.%s is %s: %s", key, found[key], implied.source)
    elif not _same(stated, theirs):
      _LOGGER.warning(
        "data.%s is %s, but the weights are for %s (%s): data.%s=() uses that",
        *(key, tuple(stated), theirs, implied.source, key),
      )
  return found


def _same(some: Sequence[float], others: Sequence[float]) -> bool:
  """Whether both are equal; one number means all channels."""
  lengths = {1, len(some), len(others)}
  return len(lengths) <= 2 and bool(np.all(np.equal(some, others)))


def make_state(config: ConfigDict, parts: Parts) -> TrainState:
  """The state of step 0: random, or with the weights of a file.

  The classifier of a file is replaced by zeros.

  Raises:
    ValueError: the position embeddings of the file have another type.
    trees.NotFinite: the file contains NaN or infinity.
  """
  model = config.model
  if not model.weights:
    return parts.init()
  height, width, channels = parts.image_shape
  shardings = jax.tree.map(lambda leaf: leaf.sharding, parts.template)
  of_leaf = trees.flatten(contract.of_model(parts.task, shardings.variables))
  loaded, variables = weights.load(
    model.weights,
    model.name,
    num_classes=parts.model.num_classes,
    image_size=(height, width),
    channels=channels,
    ignore=model.ignore,
    sharding=lambda path, shape: of_leaf[path],
    **model.options.to_dict(),
  )
  _check_positions(loaded, parts, source=model.weights)
  source = redaction.without_secrets(model.weights)
  trees.check_finite(variables, what=source)
  if not parts.task.model_at:
    _LOGGER.info(
      "starting from %s; its classifier is replaced by zeros for %d classes",
      source,
      parts.model.num_classes,
    )
  else:
    _LOGGER.info(
      "the %s starts from %s, and the other networks start at random",
      parts.task.model_at,
      source,
    )
    drawn = parts.init().variables
    variables = contract.with_model(parts.task, drawn, variables)
  init_state = functools.partial(
    from_config.init_state, config, optimizer=parts.optimizer
  )
  return jax.jit(init_state, out_shardings=shardings)(variables)


def _check_positions(loaded: nn.Module, parts: Parts, *, source: str) -> None:
  """Raises ValueError unless file and model have the same type of positions.

  For some files, the type can be found only from the image size.
  """
  found = getattr(loaded, "positions", None)
  own = getattr(parts.model, "positions", None)
  if found != own:
    raise ValueError(
      f"at {parts.image_shape[0]}x{parts.image_shape[1]} pixels the positions "
      f"of {source} are {found!r}, but the model has {own!r}; set "
      f"--config.model.options.positions={found}"
    )
