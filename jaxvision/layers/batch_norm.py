"""Batch normalisation: every channel has mean 0 and variance 1 over a batch.

Ioffe & Szegedy 2015, Batch Normalization. Feature maps are (b, ..., c); the
batch is the global one where it is split over devices. Names and values of
variables are those of `flax.linen.BatchNorm`.

The variance takes one pass, over what is left when the first example's mean is
subtracted: E[x^2] - E[x]^2 of x itself cancels where a mean is large. The first
example is never farther from the mean than the square root of the batch's size,
in standard deviations, so that the error is that of rounding. Each device takes
its own first example, and what all have found is combined as Chan et al. 1979,
Updating Formulae and a Pairwise Algorithm for Computing Sample Variances.

Over parts of the batch it is "ghost" batch normalisation (Hoffer et al. 2017,
Train longer, generalize better, section 4): a large batch is then as noisy as a
small one, and devices that each hold whole parts exchange nothing.
"""

import functools
from collections.abc import Callable
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
    average = functools.partial(_average, first=self._first)
    now, variance = self.moments(x)
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

  @property
  def _first(self) -> int:
    """The axis of the examples that are normalised together."""
    return 1 if self.examples else 0

  def moments(
    self,
    x: jax.Array,
    *,
    devices: int = 1,
    gather: Callable[[jax.Array], jax.Array] = lambda x: x,
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the mean and the variance of each channel, with axes of 1.

    Devices that share a batch are told of by an interceptor of this method, see
    `jaxvision.parallel.sharding`.

    Args:
      x: (b, ..., c) or in parts (b / examples, examples, ..., c), float32.
      devices: how many share the batch, each neighbouring examples.
      gather: makes an array, of which each device has a part, whole on all.
    """
    count = x.shape[self._first]
    each = devices if not self.examples else -(-devices // x.shape[0])
    return _moments(
      x,
      first=self._first,
      parts=each if count % each == 0 else 1,
      gather=gather,
    )

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


def _moments(
  x: jax.Array,
  *,
  first: int,
  parts: int,
  gather: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
  """Mean and variance over the axes from `first` on, by parts of the first."""
  x = jax.lax.stop_gradient(x)
  x = x.reshape(*x.shape[:first], parts, -1, *x.shape[first + 1 :])
  axes = tuple(range(first + 1, x.ndim - 1))
  example = jax.lax.slice_in_dim(x, 0, 1, axis=first + 1)
  origin = example.mean(axis=axes, keepdims=True)
  shifted = x - origin
  mean = shifted.mean(axis=axes, keepdims=True)
  square = jnp.square(shifted).mean(axis=axes, keepdims=True)
  variance = jnp.maximum(square - jnp.square(mean), 0)
  if parts > 1:
    origins, mean, variance = gather(jnp.stack([origin, mean, variance]))
    origin = jax.lax.slice_in_dim(origins, 0, 1, axis=first)
    of_part = (origins - origin) + mean
    mean = of_part.mean(axis=first, keepdims=True)
    variance = variance + jnp.square(of_part - mean)
    variance = variance.mean(axis=first, keepdims=True)
  return (origin + mean).squeeze(first), variance.squeeze(first)
