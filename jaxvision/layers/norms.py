"""The normalisations that a model can be given by name, as text.

`create` returns what makes one: called with `name`, and with `scale_init` or
`bias_init` where the scale does not start at one or the bias at zero, it gives
a Linen module for (..., c).
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
  """Returns what makes the normalisation that `norm` calls.

  Args:
    norm: "batch_norm" (over the global batch and space; keeps running averages
      in `batch_stats`), "ghost_batch_norm(32)" (the same over every 32
      neighbouring examples of the batch; where a device has that many, it is
      alone with them), "group_norm" (over space and 32 groups of neighbouring
      channels; "group_norm(8)" has 8) or "layer_norm" (over the channels of
      each position).
    train: whether the statistics are those of the batch; of batch_norm.
    dtype: of the result; statistics are float32.
    epsilon: added to the variance.
    momentum: share of the running average that is kept; of batch_norm.

  Raises:
    ValueError: if there is no such normalisation, naming the nearest. What is
      returned raises one, when it is applied, where the groups do not divide
      the channels.
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
