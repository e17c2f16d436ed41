"""Normalisation of pixels, and its inverse."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Normalization:
  """The mean and the standard deviation of the pixel normalisation.

  Attributes:
    mean: one number, or one per channel, for pixels in [0, 1].
    std: likewise; positive.
  """

  mean: tuple[float, ...]
  std: tuple[float, ...]


def normalize(images: jax.Array, normalization: Normalization) -> jax.Array:
  """Computes (pixel / 255 - mean) / std.

  Args:
    images: (..., h, w, c) uint8.
    normalization: of the channels.

  Returns:
    float32 of the same shape.

  Raises:
    ValueError: the numbers are neither one nor one per channel, or std is not
      positive.
  """
  mean, std = normalization.mean, normalization.std
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


def to_pixels(images: np.ndarray, normalization: Normalization) -> np.ndarray:
  """Inverts `normalize`: uint8, clipped to [0, 255]."""
  mean, std = map(np.asarray, (normalization.mean, normalization.std))
  return np.rint((images * std + mean) * 255).clip(0, 255).astype(np.uint8)
