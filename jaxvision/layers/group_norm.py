"""Group normalisation: each image has mean 0 and variance 1 in each group.

Wu & He 2018, Group Normalization. Feature maps are (b, ..., c); a group is
neighbouring channels. The variance needs two passes, without cancellation for
large means.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import normalization


class GroupNorm(nn.Module):
  """Normalises, then applies a learned scale and bias per channel.

  Attributes:
    num_groups: number of groups; it must divide the number of channels.
    epsilon: added to the variance.
    dtype: type of the result; statistics are float32.
    scale_init: initialiser of the parameter `scale`, (c,).
    bias_init: initialiser of the parameter `bias`, (c,).
  """

  num_groups: int
  epsilon: float = 1e-5
  dtype: DTypeLike = "float32"
  scale_init: Any = nn.initializers.ones
  bias_init: Any = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, ..., c) to the same shape.

    Raises:
      ValueError: the groups do not divide the channels.
    """
    c = x.shape[-1:]
    if c[0] % self.num_groups:
      raise ValueError(
        f"{c[0]} channels are not a multiple of {self.num_groups} groups; "
        "choose the groups with norm='group_norm(GROUPS)'"
      )
    scale = self.param("scale", self.scale_init, c)
    bias = self.param("bias", self.bias_init, c)
    scale, bias = (p.reshape((1,) * (x.ndim - 1) + c) for p in (scale, bias))
    x = x.astype(jnp.float32)
    average = functools.partial(_average, num_groups=self.num_groups)
    mean = average(x)
    y = normalization.normalize(
      x,
      scale,
      bias,
      mean=mean,
      variance=average(jnp.square(x - mean)),
      average=average,
      epsilon=self.epsilon,
    )
    return y.astype(self.dtype)


def _average(x: jax.Array, *, num_groups: int) -> jax.Array:
  """Returns the mean of each group, (b, 1..., c).

  Space is averaged first, because XLA:CPU is faster for means of channels.
  """
  means = x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=True)
  groups = means.reshape(*means.shape[:-1], num_groups, -1)
  of_group = groups.mean(axis=-1, keepdims=True)
  return jnp.broadcast_to(of_group, groups.shape).reshape(means.shape)
