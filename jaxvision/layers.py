"""Linen layers that several papers share; what one paper has is in its file.

Feature maps are (b, h, w, c), tokens (b, n, c). Parameters are float32,
computation is in `dtype`.
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import depthwise, initializers, products

Padding = str | int | Sequence[tuple[int, int]]
Activation = Callable[[jax.Array], jax.Array]

# As `nn.Dense` and `nn.Conv`, by the products that XLA is fast at.
Dense = functools.partial(nn.Dense, dot_general=products.dot_general)
Conv = functools.partial(nn.Conv, conv_general_dilated=products.convolve)


class DepthwiseConv(nn.Module):
  """A convolution of each channel with one filter of its own, without bias.

  The parameter `kernel` is (k, k, 1, c), that of `nn.Conv` with as many groups
  as channels.

  Attributes:
    kernel_size: side of the square kernel.
    stride: of rows and columns.
    padding: "SAME" (TensorFlow's, asymmetric where it must be), an int on all
      sides, or ((top, bottom), (left, right)).
    kernel_init: of the kernel; its fan-in is kernel_size squared.
    dtype: of the computation.
  """

  kernel_size: int
  stride: int = 1
  padding: Padding = "SAME"
  kernel_init: nn.initializers.Initializer = initializers.lecun_normal()
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h', w', c)."""
    k, padding = self.kernel_size, self.padding
    kernel = self.param("kernel", self.kernel_init, (k, k, 1, x.shape[-1]))
    x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
    if isinstance(padding, int):
      padding = ((padding, padding), (padding, padding))
    return depthwise.convolve(
      x, kernel, strides=(self.stride, self.stride), padding=padding
    )


class DropPath(nn.Module):
  """Drops the whole residual branch of an example, in training.

  Stochastic depth, Huang et al. 2016. Uses the random stream "dropout".

  Attributes:
    rate: probability to drop; a float, or a traced () float32.
    rescale: whether surviving branches are divided by the probability to
      survive, so that evaluation sees the mean of training.
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


class SqueezeExcite(nn.Module):
  """Scales each channel by a gate computed from the mean of all channels.

  Hu et al. 2018, Squeeze-and-Excitation Networks. The 1x1 convolutions are
  called `conv_reduce` and `conv_expand` and have biases.

  Attributes:
    features: channels between the two convolutions.
    activation: between them.
    kernel_init: of both kernels.
    dtype: of the computation.
  """

  features: int
  activation: Activation = nn.relu
  kernel_init: nn.initializers.Initializer = initializers.lecun_normal()
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to the same shape."""
    conv = functools.partial(
      Conv,
      kernel_size=(1, 1),
      kernel_init=self.kernel_init,
      dtype=self.dtype,
    )
    gate = x.mean(axis=(1, 2), keepdims=True)
    gate = self.activation(conv(self.features, name="conv_reduce")(gate))
    gate = conv(x.shape[-1], name="conv_expand")(gate)
    return x * nn.sigmoid(gate)


class PatchEmbedding(nn.Module):
  """A convolution whose stride is its kernel size, as one matrix product.

  The product has a far cheaper gradient than the convolution on CPU.

  Attributes:
    patch_size: side of the square patches, in pixels.
    features: length of each token.
    dtype: of the product.
  """

  patch_size: int
  features: int
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h/p * w/p, features), patches row by row.

    Raises:
      ValueError: if the patches do not tile the image.
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
    return products.product(patches, kernel) + bias[None, None]


def _check_tiling(size: int, *, patch_size: int) -> None:
  if size % patch_size == 0:
    return
  below = size - size % patch_size
  sizes = [str(s) for s in (below, below + patch_size) if s > 0]
  raise ValueError(
    f"image size {size} is not a multiple of patch {patch_size}; "
    f"use {' or '.join(sizes)}"
  )
