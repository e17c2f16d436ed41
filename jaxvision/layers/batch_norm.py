"""Batch normalisation: each channel has mean 0 and variance 1 over a batch.

Ioffe & Szegedy 2015, Batch Normalization. Feature maps are (b, ..., c). If the
batch is split over devices, statistics are of the global batch. Names and
values of variables are those of `flax.linen.BatchNorm`.

The variance needs one pass, over x minus the mean of the first example:
E[x^2] - E[x]^2 of x itself cancels if the mean is large. The distance of the
first example from the mean is at most sqrt(batch size) standard deviations, so
the error is a rounding error. Each device uses its own first example, and the
results are combined as in Chan et al. 1979, Updating Formulae and a Pairwise
Algorithm for Computing Sample Variances.

With statistics over parts of the batch it is "ghost" batch normalisation
(Hoffer et al. 2017, Train longer, generalize better, section 4): a large batch
has the noise of a small one, and devices with complete parts communicate
nothing.
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
  """Normalises by statistics of the batch, or by running averages.

  Attributes:
    use_running_average: whether to use the running averages `mean` and `var`
      (c,) in the collection `batch_stats` instead of the batch.
    momentum: fraction of the running averages that is kept at each batch.
    epsilon: added to the variance.
    dtype: type of the result; statistics are float32.
    examples: number of neighbouring examples with common statistics, whose
      means over the batch update the running averages; 0 for the batch.
    scale_init: initialiser of the parameter `scale`, (c,).
    bias_init: initialiser of the parameter `bias`, (c,).
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
      ValueError: the batch is not a multiple of the examples.
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
    """The axis of the examples with common statistics."""
    return 1 if self.examples else 0

  def moments(
    self,
    x: jax.Array,
    *,
    devices: int = 1,
    gather: Callable[[jax.Array], jax.Array] = lambda x: x,
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the mean and the variance of each channel, with axes of 1.

    An interceptor of this method passes the devices of the batch, see
    `jaxvision.parallel.sharding`.

    Args:
      x: (b, ..., c) or in parts (b / examples, examples, ..., c), float32.
      devices: number of devices of the batch, each with neighbouring examples.
      gather: replicates an array that is split over the devices.
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
    """Returns a running average after the update with a batch."""
    now = jax.lax.stop_gradient(now)
    if self.examples:
      now = now.mean(axis=0)
    now = now.reshape(running.shape)
    return self.momentum * running + (1 - self.momentum) * now


def _in_parts(x: jax.Array, examples: int) -> jax.Array:
  """Returns (b, ..., c) as (b / examples, examples, ..., c)."""
  if x.shape[0] % examples:
    raise ValueError(
      f"a batch of {x.shape[0]} is not a multiple of the {examples} examples "
      "with common statistics; choose a divisor of the batch: "
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
  """Mean and variance over the axes from `first` on, combined from parts."""
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
