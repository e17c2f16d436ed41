"""A small DenseNet that learns from real and from generated images.

A bit beside the features says whether an image is real. So the classifier can
use generated images, and treat them differently from real ones (Antoniou et al.
2017, Data Augmentation Generative Adversarial Networks). It is that of
github.com/amurthy1/dagan_torch (commit 66d29d3): torchvision's DenseNet (Huang
et al. 2017, Densely Connected Convolutional Networks) with growth 16 and four
blocks of three layers, and a head of two Dense layers with a batch
normalisation between them. It has 193,668 parameters for 100 classes of grey
images.

Its first layers are for images of 224 pixels, to which that code enlarges
characters of 28. With `stem="small"` they are one convolution with stride 2.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers, lookup
from jaxvision.layers import initializers, norms, pooling
from jaxvision.lookup import ranges

STEMS = ("imagenet", "small")


class LowDataDenseNet(nn.Module):
  """Blocks of layers that see the outputs of all layers before them.

  Attributes:
    num_classes: length of the logits.
    blocks: layers of each block; between two blocks, channels and sides halve.
    growth: output channels of a layer.
    features: channels of the first convolution.
    bottleneck: channels of the 1x1 convolution of a layer, per output channel.
    hidden: width of the layer between the features and the classifier.
    stem: "imagenet", or "small" for images of about 28 pixels.
    dropout: rate after each layer, in training.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  blocks: tuple[ranges.Count, ...] = (3, 3, 3, 3)
  growth: ranges.Count = 16
  features: ranges.Count = 64
  bottleneck: ranges.Count = 4
  hidden: ranges.Count = 20
  stem: str = "imagenet"
  dropout: ranges.Probability = 0.3
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    *,
    train: bool,
    generated: jax.Array | None = None,
  ) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Args:
      images: as above.
      train: whether batch statistics and dropout are used.
      generated: (b,) 1 for a generated image, 0 for a real one; None means that
        all images are real.

    Raises:
      ValueError: the stem is unknown, or the image is too small.
    """
    norm = norms.create("batch_norm", train=train, dtype=self.dtype)
    drop = nn.Dropout(self.dropout, deterministic=not train)
    x = self._stem(images, norm)
    for i, count in enumerate(self.blocks):
      for j in range(count):
        y = self._layer(x, norm, f"block{i}_{j}")
        x = jnp.concatenate([x, drop(y)], axis=-1)
      if i + 1 < len(self.blocks):
        x = self._activated(x, norm, f"transition{i}_norm")
        x = self._conv(x.shape[-1] // 2, 1, f"transition{i}_conv")(x)
        x = _halved(x, images.shape)
    x = self._activated(x, norm, "norm").mean(axis=(1, 2))
    real = jnp.ones(len(x)) if generated is None else 1 - generated
    x = jnp.concatenate([x, real[:, None].astype(x.dtype)], axis=-1)
    x = nn.Dense(self.hidden, dtype=self.dtype, name="hidden")(x)
    x = norm(name="hidden_norm")(x)
    return nn.Dense(self.num_classes, dtype=jnp.float32, name="head")(x)

  def _layer(self, x: jax.Array, norm, name: str) -> jax.Array:
    """The new channels of a layer."""
    x = self._activated(x, norm, f"{name}_norm1")
    x = self._conv(self.bottleneck * self.growth, 1, f"{name}_conv1")(x)
    x = self._activated(x, norm, f"{name}_norm2")
    return self._conv(self.growth, 3, f"{name}_conv2")(x)

  def _stem(self, images: jax.Array, norm) -> jax.Array:
    if self.stem not in STEMS:
      raise ValueError(lookup.unknown("stem", self.stem, STEMS))
    if self.stem == "small":
      return self._conv(self.features, 3, "conv", strides=2)(images)
    x = self._conv(self.features, 7, "conv", strides=2)(images)
    x = self._activated(x, norm, "conv_norm")
    return pooling.max_pool(x, 3, stride=2, padding=((1, 1), (1, 1)))

  def _conv(
    self, features: int, side: int, name: str, *, strides: int = 1
  ) -> nn.Module:
    return layers.Conv(
      features,
      kernel_size=(side, side),
      strides=strides,
      padding=side // 2,
      use_bias=False,
      kernel_init=initializers.create("he_normal"),
      dtype=self.dtype,
      name=name,
    )

  def _activated(self, x: jax.Array, norm, name: str) -> jax.Array:
    return jax.nn.relu(norm(name=name)(x))


def _halved(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """The means over 2x2 positions."""
  if min(x.shape[1:3]) < 2:
    raise ValueError(
      f"images of {shape[1]}x{shape[2]} pixels are too small for the blocks; "
      "enlarge them, use fewer blocks, or stem='small'"
    )
  return nn.avg_pool(x, (2, 2), strides=(2, 2))


VARIANTS = {
  "low_data_densenet": {
    "module": LowDataDenseNet,
    "options": {},
    "spec": {
      "image_size": 224,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 1.0,
      "parameters": 218_840,
      "gmacs": 0.3203,
      "paper": "Antoniou et al. 2017, Data Augmentation Generative Adversarial "
      "Networks",
    },
  },
}
