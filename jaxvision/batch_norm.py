"""Batch normalisation: every channel has mean 0 and variance 1 over a batch.

Ioffe & Szegedy 2015, Batch Normalization. Feature maps are (b, ..., c); the
batch is the global one where it is split over devices. Names and values of
variables are those of `flax.linen.BatchNorm`.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import normalization


class BatchNorm(nn.Module):
  """Normalises by the batch, or in use by running averages over batches.

  Attributes:
    use_running_average: whether the averages `mean` and `var` (c,) in the
      collection `batch_stats` normalise, and not the batch.
    momentum: share of the running averages that a batch leaves.
    epsilon: added to the variance.
    dtype: of the result; statistics are float32.
    scale_init: of the parameter `scale`, (c,).
    bias_init: of the parameter `bias`, (c,).
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: DTypeLike = "float32"
  scale_init: Any = nn.initializers.ones
  bias_init: Any = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, ..., c) to the same shape."""
    c, one = x.shape[-1:], (1,) * (x.ndim - 1)
    mean = self.variable("batch_stats", "mean", jnp.zeros, c)
    var = self.variable("batch_stats", "var", jnp.ones, c)
    scale = self.param("scale", self.scale_init, c).reshape(one + c)
    bias = self.param("bias", self.bias_init, c).reshape(one + c)
    x = x.astype(jnp.float32)
    if self.use_running_average:
      inverse = jax.lax.rsqrt(var.value + self.epsilon).reshape(one + c)
      y = (x - mean.value.reshape(one + c)) * (inverse * scale) + bias
      return y.astype(self.dtype)
    now = _average(x)
    # In one pass over x: two would be two exchanges between devices.
    variance = jnp.maximum(_average(jnp.square(x)) - jnp.square(now), 0)
    if not self.is_initializing():
      mean.value = self._moved(mean.value, now)
      var.value = self._moved(var.value, variance)
    y = normalization.normalize(
      x,
      scale,
      bias,
      mean=now,
      variance=variance,
      average=_average,
      epsilon=self.epsilon,
    )
    return y.astype(self.dtype)

  def _moved(self, running: jax.Array, now: jax.Array) -> jax.Array:
    """Returns a running average moved towards that of a batch."""
    now = jax.lax.stop_gradient(now).reshape(running.shape)
    return self.momentum * running + (1 - self.momentum) * now


def _average(x: jax.Array) -> jax.Array:
  """Returns the mean of each channel, (1, ..., c)."""
  return x.mean(axis=tuple(range(x.ndim - 1)), keepdims=True)
