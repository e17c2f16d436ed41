"""Stochastic depth: residual branches are dropped at random in training."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class DropPath(nn.Module):
  """Drops the residual branch of an example, in training.

  Stochastic depth, Huang et al. 2016. It uses the random stream "dropout".

  Attributes:
    rate: probability to drop; a float, or a traced () float32.
    rescale: whether to divide kept branches by the probability to keep them, so
      that evaluation is the mean of training.
  """

  rate: float | jax.Array
  rescale: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, ...) to the same shape."""
    if not train or (isinstance(self.rate, (int, float)) and self.rate == 0):
      return x
    keep = 1 - jnp.asarray(self.rate, jnp.float32)
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    kept = jax.random.bernoulli(self.make_rng("dropout"), keep, shape)
    return x * jnp.where(kept, 1 / keep if self.rescale else 1.0, 0.0).astype(
      x.dtype
    )
