"""Transforms of the claims: a fixed permutation, and AlexNet's colour noise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxvision.data.transforms.host import color


def permute_patches(patch: int) -> Callable:
  """Permutes the patches of an image, and the pixels within each patch.

  Tolstikhin et al. 2021, MLP-Mixer, section 4 and Figure 4: all patches have
  the same permutation of their pixels.

  Args:
    patch: side of a patch in pixels; it divides the side of the image.
  """

  def transform(rng: None, image: np.ndarray) -> np.ndarray:
    rows, columns, channels = image.shape
    grid = image.reshape(
      rows // patch, patch, columns // patch, patch, channels
    )
    patches = grid.swapaxes(1, 2).reshape(-1, patch * patch, channels)
    draw = np.random.default_rng(0)
    patches = patches[draw.permutation(len(patches))]
    patches = patches[:, draw.permutation(patch * patch)]
    grid = patches.reshape(
      rows // patch, columns // patch, patch, patch, channels
    )
    return grid.swapaxes(1, 2).reshape(image.shape)

  return transform


def random_colors(std: float = 0.1) -> Callable:
  """AlexNet's noise along the components of ImageNet's colours, on the device.

  Krizhevsky et al. 2012, section 4.1. A colour is added to all pixels of an
  image.

  Args:
    std: of the normal random numbers.
  """

  def transform(key: jax.Array, batch: dict) -> dict:
    images = batch["image"]  # (b, h, w, 3) in [0, 255]
    drawn = std * jax.random.normal(key, (len(images), 3))
    added = 255 * (drawn * color.LIGHTING_VALUES) @ color.LIGHTING_VECTORS.T
    noisy = jnp.clip(images + added[:, None, None], 0, 255)
    return {**batch, "image": noisy}

  return transform
