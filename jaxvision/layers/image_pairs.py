"""Parts of a generator and a critic of pairs of images.

The generator maps an image and noise to another image of its class. The critic
scores a pair: an image with another image of its class, or with a generated
one. Images are (b, h, w, c) in [-1, 1]. Each convolution is followed by a leaky
ReLU and then by its normalisation.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import batch_norm, initializers, layer_norm
from jaxvision.layers.linear import Conv

_SLOPE = 0.2  # of the leaky ReLU below zero


class ImagePairs(nn.Module):
  """A generator and a critic, called by name or one after the other."""

  def generate(
    self, images: jax.Array, noise: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps (b, h, w, c) and noise (b, n) to images in [-1, 1]."""
    return self.generator(images, noise, train=train)

  def criticize(
    self, images: jax.Array, others: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps two (b, h, w, c) to scores (b,), larger for real pairs."""
    return self.critic(images, others, train=train)

  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """The scores (b, 1) of images and generated ones, without noise."""
    noise = jnp.zeros((images.shape[0], self.noise), jnp.float32)
    others = self.generate(images, noise, train=train)
    return self.criticize(images, others, train=train)[:, None]


class MapNorm(nn.Module):
  """Mean 0 and variance 1 over all values of a map, then a scale per channel.

  Attributes:
    epsilon: added to the variance.
    dtype: type of the result; statistics are float32.
  """

  epsilon: float = 1e-12
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to the same shape."""
    c = (x.shape[-1],)
    scale = self.param("scale", nn.initializers.ones, c)
    bias = self.param("bias", nn.initializers.zeros, c)
    flat = x.astype(jnp.float32).reshape(x.shape[0], -1)
    y = layer_norm.normalize(flat, self.epsilon).reshape(x.shape)
    y = y * scale.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1)
    return y.astype(self.dtype)


class Layer(nn.Module):
  """A convolution, a leaky ReLU, a normalisation and dropout.

  Attributes:
    features: number of channels.
    norm: () -> the normalisation.
    stride: of the convolution.
    drop: x -> x with dropout.
    dtype: type of the convolution.
  """

  features: int
  norm: Callable[..., nn.Module]
  stride: int = 1
  drop: Callable[[jax.Array], jax.Array] = lambda x: x
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h / stride, w / stride, features)."""
    x = conv(self.features, self.stride, dtype=self.dtype, name="conv")(x)
    return self.drop(self.norm(name="norm")(leaky_relu(x)))


def conv(features: int, stride: int = 1, **options) -> nn.Module:
  """A 3x3 convolution with TensorFlow's "SAME" padding and Glorot's kernels."""
  return Conv(
    features,
    kernel_size=(3, 3),
    strides=stride,
    padding="SAME",
    kernel_init=initializers.create("glorot_uniform"),
    **options,
  )


def leaky_relu(x: jax.Array) -> jax.Array:
  """x if it is positive, else 0.2 x."""
  return jax.nn.leaky_relu(x, _SLOPE)


def generator_norm(train: bool, dtype: DTypeLike) -> Callable[..., nn.Module]:
  """Batch normalisation with the settings of the authors' generator."""
  return functools.partial(
    batch_norm.BatchNorm,
    use_running_average=not train,
    momentum=0.99,
    epsilon=1e-3,
    dtype=dtype,
  )


def enlarge(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Repeats rows and columns (nearest neighbour) and crops to `size`.

  Args:
    x: (b, h, w, c).
    size: (2h or 2h - 1, 2w or 2w - 1), or the size of x.
  """
  if x.shape[1:3] == size:
    return x
  x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
  return x[:, : size[0], : size[1]]
