"""Batch normalisation: every channel has mean 0 and variance 1 over a batch.

Ioffe & Szegedy 2015, Batch Normalization. Feature maps are (b, ..., c); the
batch is the global one where it is split over devices. Names and values of
variables are those of `flax.linen.BatchNorm`.

Over parts of the batch it is "ghost" batch normalisation (Hoffer et al. 2017,
Train longer, generalize better, section 4): a large batch is then as noisy as a
small one, and devices that each hold whole parts exchange nothing.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import normalization


class BatchNorm(nn.Module):
  """Normalises by the batch, or in use by running averages over batches.

  Attributes:
    use_running_average: whether the averages `mean` and `var` (c,) in the
      collection `batch_stats` normalise, and not the batch.
    momentum: share of the running averages that a batch leaves.
    epsilon: added to the variance.
    dtype: of the result; statistics are float32.
    examples: how many neighbouring ones are normalised by their own statistics,
      whose means over the batch enter the running averages; 0 is the batch.
    scale_init: of the parameter `scale`, (c,).
    bias_init: of the parameter `bias`, (c,).
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: DTypeLike = "float32"
  examples: int = 0
  scale_init: Any = nn.initializers.ones
  bias_init: Any = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, ..., c) to the same shape.

    Raises:
      ValueError: if the batch is no multiple of the examples.
    """
    c, shape = x.shape[-1:], x.shape
    mean = self.variable("batch_stats", "mean", jnp.zeros, c)
    var = self.variable("batch_stats", "var", jnp.ones, c)
    scale = self.param("scale", self.scale_init, c)
    bias = self.param("bias", self.bias_init, c)
    x = x.astype(jnp.float32)
    if self.examples and not self.use_running_average:
      x = _in_parts(x, self.examples)
    one = (1,) * (x.ndim - 1)
    scale, bias = scale.reshape(one + c), bias.reshape(one + c)
    if self.use_running_average:
      inverse = jax.lax.rsqrt(var.value + self.epsilon).reshape(one + c)
      y = (x - mean.value.reshape(one + c)) * (inverse * scale) + bias
      return y.astype(self.dtype)
    average = functools.partial(_average, first=1 if self.examples else 0)
    now = average(x)
    # In one pass over x: two would be two exchanges between devices.
    variance = jnp.maximum(average(jnp.square(x)) - jnp.square(now), 0)
    if not self.is_initializing():
      mean.value = self._moved(mean.value, now)
      var.value = self._moved(var.value, variance)
    y = normalization.normalize(
      x,
      scale,
      bias,
      mean=now,
      variance=variance,
      average=average,
      epsilon=self.epsilon,
    )
    return y.astype(self.dtype).reshape(shape)

  def _moved(self, running: jax.Array, now: jax.Array) -> jax.Array:
    """Returns a running average moved towards that of a batch."""
    now = jax.lax.stop_gradient(now)
    if self.examples:
      now = now.mean(axis=0)
    now = now.reshape(running.shape)
    return self.momentum * running + (1 - self.momentum) * now


def _in_parts(x: jax.Array, examples: int) -> jax.Array:
  """Returns (b, ..., c) as (b / examples, examples, ..., c)."""
  if x.shape[0] % examples:
    raise ValueError(
      f"a batch of {x.shape[0]} is no multiple of the {examples} examples that "
      "are normalised together; choose a divisor of it: "
      "norm='ghost_batch_norm(EXAMPLES)'"
    )
  return x.reshape(-1, examples, *x.shape[1:])


def _average(x: jax.Array, *, first: int) -> jax.Array:
  """Returns the mean of each channel over the axes from `first` on."""
  return x.mean(axis=tuple(range(first, x.ndim - 1)), keepdims=True)
