"""The linear classifier on pixels: one template per class.

A row of the logits is the inner product of the image with each class's
template, plus a bias; the columns of `head/kernel` are the templates, with
pixels in the order (row, column, channel).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import initializers
from jaxvision.lookup import ranges


class Linear(nn.Module):
  """Softmax regression, or a linear SVM, depending on the loss.

  By default the kernel starts at zero. The problem is convex, so no random
  values are needed, and the templates show only what was learned.

  Attributes:
    num_classes: length of the logits.
    initializer: initialiser of the kernel, as for
      `jaxvision.layers.initializers`.
    dtype: type of the matrix product; parameters and logits are float32.
  """

  num_classes: ranges.Count
  initializer: str = "zeros"
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised pixels to (b, num_classes) logits."""
    del train  # Training and evaluation are the same.
    pixels = images.reshape(images.shape[0], -1)
    logits = nn.Dense(
      self.num_classes,
      kernel_init=initializers.create(self.initializer),
      dtype=self.dtype,
      name="head",
    )(pixels)
    return logits.astype(jnp.float32)


VARIANTS = {
  "linear": {
    "module": Linear,
    "options": {},
    "spec": {
      "image_size": 32,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 1.0,
      "parameters": 3_073_000,
      "gmacs": 0.003072,
      "paper": "CS231n, Linear Classification (on CIFAR-10)",
    },
  },
}
