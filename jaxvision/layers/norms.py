"""Normalisations by name, as text.

`create` returns a function that makes a Linen module for (..., c). Its
arguments are `name`, and `scale_init` or `bias_init` if the scale does not
start at one or the bias at zero.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jax.typing import DTypeLike

from jaxvision import lookup
from jaxvision.layers import batch_norm, group_norm, layer_norm
from jaxvision.lookup import ranges


def create(
  norm: str,
  *,
  train: bool,
  dtype: DTypeLike,
  epsilon: float = 1e-5,
  momentum: float = 0.9,
) -> Callable[..., nn.Module]:
  """Returns a function that makes the normalisation of a text.

  Args:
    norm: "batch_norm" (over the global batch and space; running averages are in
      `batch_stats`), "ghost_batch_norm(32)" (the same over each 32 neighbouring
      examples of the batch; devices with complete parts do not communicate),
      "group_norm" (over space and 32 groups of neighbouring channels;
      "group_norm(8)" has 8) or "layer_norm" (over the channels of each
      position).
    train: whether batch_norm uses the statistics of the batch.
    dtype: type of the result; statistics are float32.
    epsilon: added to the variance.
    momentum: fraction of the running average that batch_norm keeps.

  Raises:
    ValueError: the normalisation is unknown; the message has the nearest names.
      The module raises ValueError if the groups do not divide the channels.
  """
  shared: dict[str, Any] = {"epsilon": epsilon, "dtype": dtype}

  def of_batch() -> Callable[..., nn.Module]:
    return functools.partial(
      batch_norm.BatchNorm,
      use_running_average=not train,
      momentum=momentum,
      **shared,
    )

  def of_ghosts(examples: ranges.Count) -> Callable[..., nn.Module]:
    return functools.partial(of_batch(), examples=examples)

  def of_groups(groups: ranges.Count = 32) -> Callable[..., nn.Module]:
    return functools.partial(group_norm.GroupNorm, groups, **shared)

  def channel_norm() -> Callable[..., nn.Module]:
    return functools.partial(layer_norm.LayerNorm, **shared)

  functions = {
    "batch_norm": of_batch,
    "ghost_batch_norm": of_ghosts,
    "group_norm": of_groups,
    "layer_norm": channel_norm,
  }
  return lookup.call(norm, functions=functions, kind="norm")
