"""Mixtures of the examples of a batch and of their targets alike."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

Batch = Mapping[str, jax.Array]
BatchTransform = Callable[[jax.Array, Batch], Batch]


def random_mixup(alpha: float) -> BatchTransform:
  """Blends images, and their targets alike, in pairs (Zhang et al. 2018).

  One share, drawn from Beta(alpha, alpha), for the whole batch; the partner of
  an example is its mirror image in the batch, as in the released BiT. What has
  no partner that counts stays as it is.

  Args:
    alpha: the larger, the more even the blend; 0 is off. The authors' code for
      CIFAR-10 has 1, that of the Bag of Tricks for ImageNet 0.2, BiT 0.1.
  """
  if alpha < 0:
    raise ValueError(f"alpha is {alpha}; it must be positive, or 0 for none")

  def transform(key: jax.Array, batch: Batch) -> Batch:
    share = jax.random.beta(key, alpha, alpha)
    shares = jnp.where(batch["mask"][::-1] > 0, share, 1.0)
    mixed = {
      name: _blend(batch[name], batch[name][::-1], shares)
      for name in ("image", "targets")
    }
    return {**batch, **mixed}

  return transform if alpha else lambda key, batch: batch


def _blend(a: jax.Array, b: jax.Array, shares: jax.Array) -> jax.Array:
  """Returns a times its share (b,) of each example, plus b times the rest."""
  shares = shares.reshape(-1, *[1] * (a.ndim - 1))
  return shares * a + (1 - shares) * b
