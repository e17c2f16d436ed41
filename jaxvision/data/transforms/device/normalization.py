"""Pixels to normalised numbers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def normalize(
  images: jax.Array, mean: Sequence[float], std: Sequence[float]
) -> jax.Array:
  """Maps pixels to (pixel / 255 - mean) / std.

  Args:
    images: (..., h, w, c) uint8.
    mean: one number, or one per channel, in units of [0, 1].
    std: likewise; positive.

  Returns:
    float32 of the same shape.

  Raises:
    ValueError: neither one number nor one per channel, or not positive.
  """
  channels = images.shape[-1]
  for name, values in (("data.mean", mean), ("data.std", std)):
    if len(values) not in (1, channels):
      raise ValueError(
        f"{name} is {tuple(values)} for images of {channels} channels; give "
        f"1 or {channels} numbers"
      )
  if min(std) <= 0:
    raise ValueError(f"data.std is {tuple(std)}; it must be positive")
  shape = (1,) * (images.ndim - 1) + (-1,)
  pixels = images.astype(jnp.float32) / 255
  shift = jnp.asarray(mean, jnp.float32).reshape(shape)
  return (pixels - shift) / jnp.asarray(std, jnp.float32).reshape(shape)
