"""Small networks of the claims, whose parts are on or off."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision import layers
from jaxvision.layers import norms, pooling
from jaxvision.layers.standardized import StandardizedConv
from jaxvision.models.alexnet import local_response_norm


class SmallAlexNet(nn.Module):
  """Two convolutions with pooling, a third one, two hidden layers.

  Attributes:
    num_classes: length of the logits.
    overlapping: whether windows of 3x3 are pooled, instead of 2x2; the distance
      is 2.
    response: whether local response normalisation follows the first two.
    dropout: rate after each hidden layer.
  """

  num_classes: int
  overlapping: bool = True
  response: bool = True
  dropout: float = 0.5

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits."""
    he = nn.initializers.he_normal()
    side, x = 3 if self.overlapping else 2, images
    for width in (24, 48):
      x = nn.relu(layers.Conv(width, (5, 5), kernel_init=he)(x))
      x = local_response_norm(x) if self.response else x
      x = pooling.max_pool(x, side, stride=2, padding="SAME")
    x = nn.relu(layers.Conv(48, (3, 3), kernel_init=he)(x))
    x = pooling.max_pool(x, side, stride=2, padding="SAME")
    x = x.reshape(len(x), -1)
    for _ in range(2):
      x = nn.relu(nn.Dense(256, kernel_init=he)(x))
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(self.num_classes)(x)


class Filters(nn.Module):
  """Two stages of convolutions of one size with equal receptive fields.

  Attributes:
    num_classes: length of the logits.
    side: of the filters, 3 (three in each stage) or 7 (one).
    response: whether local response normalisation follows the first layer.
  """

  num_classes: int
  side: int = 3
  response: bool = False

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits."""
    he = nn.initializers.he_normal()
    x = images
    for stage, width in enumerate((8, 16)):
      # 27 c^2 weights in three 3x3 layers, 49 c^2 in one 7x7 layer.
      for layer in range(3 if self.side == 3 else 1):
        x = layers.Conv(width, (self.side, self.side), kernel_init=he)(x)
        x = nn.relu(x)
        if self.response and stage == layer == 0:
          x = local_response_norm(x)
      x = pooling.max_pool(x, 2, stride=2)
    x = nn.relu(nn.Dense(64, kernel_init=he)(x.reshape(len(x), -1)))
    return nn.Dense(self.num_classes)(x)


class SmallResNet(nn.Module):
  """A stem and three residual blocks of two convolutions.

  Attributes:
    num_classes: length of the logits.
    norm: "group", or the number of neighbouring images of batch normalisation.
    standardized: whether the filters are standardised.
    width: features of the stem; they double in the second and third block.
  """

  num_classes: int
  norm: str | int = "group"
  standardized: bool = False
  width: int = 12

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits."""
    name = "group_norm(4)"
    if self.norm != "group":
      name = f"ghost_batch_norm({self.norm})"
    make_norm = norms.create(name, train=train, dtype="float32")
    kind = StandardizedConv if self.standardized else PlainConv
    conv = functools.partial(kind, padding="SAME")
    x = PlainConv(self.width, 3, padding="SAME")(images)
    for block in range(3):
      features, stride = self.width * 2**block, 2 if block else 1
      y = conv(features, 3, stride)(nn.relu(make_norm()(x)))
      y = conv(features, 3)(nn.relu(make_norm()(y)))
      if block:
        x = conv(features, 1, stride)(x)
      x = x + y
    x = nn.relu(make_norm()(x)).mean(axis=(1, 2))
    return nn.Dense(self.num_classes, dtype=jnp.float32)(x)


class PlainConv(nn.Module):
  """A convolution with the arguments of `StandardizedConv`."""

  features: int
  kernel_size: int = 1
  stride: int = 1
  padding: str = "SAME"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h / stride, w / stride, features)."""
    side = (self.kernel_size, self.kernel_size)
    return layers.Conv(
      self.features,
      side,
      strides=self.stride,
      padding=self.padding,
      use_bias=False,
    )(x)
