"""The normalisations that a model can be given by name.

`create` returns what makes one: called with `name`, and with `scale_init` where
the scale does not start at one, it gives a Linen module for (..., c).
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jax.typing import DTypeLike

from jaxvision import spelling

# Two passes: Flax's default, the fast variance, cancels where means are large.
_EXACT = {"use_fast_variance": False}

NORMS = ("batch_norm", "group_norm", "layer_norm")


def create(
  norm: str,
  *,
  train: bool,
  dtype: DTypeLike,
  epsilon: float = 1e-5,
  momentum: float = 0.9,
) -> Callable[..., nn.Module]:
  """Returns what makes the normalisation called `norm`.

  Args:
    norm: "batch_norm" (over the global batch and space; keeps running averages
      in `batch_stats`), "group_norm" (32 groups) or "layer_norm" (over the
      channels of each position).
    train: whether the statistics are those of the batch; of batch_norm.
    dtype: of the result; statistics are float32.
    epsilon: added to the variance.
    momentum: share of the running average that is kept; of batch_norm.

  Raises:
    ValueError: if there is no such normalisation; names the nearest.
  """
  if norm == "batch_norm":
    return functools.partial(
      nn.BatchNorm,
      use_running_average=not train,
      momentum=momentum,
      epsilon=epsilon,
      dtype=dtype,
    )
  options: dict[str, Any] = {"epsilon": epsilon, "dtype": dtype, **_EXACT}
  if norm == "group_norm":
    return functools.partial(nn.GroupNorm, num_groups=32, **options)
  if norm == "layer_norm":
    return functools.partial(nn.LayerNorm, **options)
  raise ValueError(spelling.unknown("norm", norm, NORMS))
