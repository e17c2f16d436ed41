"""Patch embedding: the patches of an image as tokens."""

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from jaxvision.layers import initializers, matmul


class PatchEmbedding(nn.Module):
  """A convolution with stride equal to its kernel size, as a matrix product.

  On CPU, the gradient of the product is much faster than of the convolution.

  Attributes:
    patch_size: side of the square patches, in pixels.
    features: length of each token.
    dtype: type of the product.
  """

  patch_size: int
  features: int
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h/p * w/p, features), patches row by row.

    Raises:
      ValueError: the image size is not a multiple of the patch size.
    """
    b, h, w, c = images.shape
    p = self.patch_size
    for size in (h, w):
      _check_tiling(size, patch_size=p)
    kernel = self.param(
      "kernel", initializers.lecun_normal(), (p, p, c, self.features)
    )
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    patches = images.reshape(b, h // p, p, w // p, p, c).swapaxes(2, 3)
    patches = patches.reshape(b, -1, p * p * c)
    patches, kernel, bias = nn.dtypes.promote_dtype(
      patches, kernel, bias, dtype=self.dtype
    )
    kernel = kernel.reshape(-1, self.features)
    return matmul.product(patches, kernel) + bias[None, None]


def _check_tiling(size: int, *, patch_size: int) -> None:
  if size % patch_size == 0:
    return
  below = size - size % patch_size
  sizes = [str(s) for s in (below, below + patch_size) if s > 0]
  raise ValueError(
    f"image size {size} is not a multiple of patch {patch_size}; "
    f"use {' or '.join(sizes)}"
  )
