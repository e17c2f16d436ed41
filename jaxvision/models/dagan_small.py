"""A small generator and critic of pairs of images, of the size of a DCGAN.

As in Radford et al. 2016, Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks, a stage is one convolution. As in
DAGAN (Antoniou et al. 2017), the generator is a U-Net of an image and noise,
and the critic sees a pair of images: see `jaxvision.layers.image_pairs`.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import image_pairs
from jaxvision.lookup import ranges


class SmallGenerator(nn.Module):
  """A U-Net with one convolution a stage.

  Attributes:
    sizes: channels of each stage.
    dtype: type of the convolutions.
  """

  sizes: Sequence[int]
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self, images: jax.Array, noise: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps (b, h, w, c) and noise (b, n) to images (b, h, w, c)."""
    layer = functools.partial(
      image_pairs.Layer,
      norm=image_pairs.generator_norm(train, self.dtype),
      dtype=self.dtype,
    )
    maps, x = [images], images
    for i, size in enumerate(self.sizes):
      x = layer(size, stride=2, name=f"encode{i}")(x)
      maps.append(x)
    shape = (*x.shape[1:3], self.sizes[-1])
    width = shape[0] * shape[1] * shape[2]
    made = nn.Dense(width, dtype=self.dtype, name="noise")(noise)
    x = jnp.concatenate(
      [x, image_pairs.leaky_relu(made).reshape(-1, *shape)], axis=-1
    )
    for i in reversed(range(len(self.sizes))):
      x = image_pairs.enlarge(x, maps[i].shape[1:3])
      x = jnp.concatenate([x, maps[i]], axis=-1)
      x = layer(self.sizes[max(i - 1, 0)], name=f"decode{i}")(x)
    x = image_pairs.conv(images.shape[-1], dtype=jnp.float32, name="image")(x)
    return jnp.tanh(x)


class SmallCritic(nn.Module):
  """Strided convolutions and a Dense layer.

  Attributes:
    sizes: channels of each convolution.
    dtype: type of the convolutions.
  """

  sizes: Sequence[int]
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self, images: jax.Array, others: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps two (b, h, w, c) to scores (b,), larger for real pairs."""
    del train
    norm = functools.partial(image_pairs.MapNorm, dtype=self.dtype)
    x = jnp.concatenate([images, others], axis=-1)
    for i, size in enumerate(self.sizes):
      x = image_pairs.Layer(
        size, norm, stride=2, dtype=self.dtype, name=f"encode{i}"
      )(x)
    x = x.astype(jnp.float32).reshape(x.shape[0], -1)
    return nn.Dense(1, name="score")(x)[:, 0]


class SmallDagan(image_pairs.ImagePairs):
  """The small pair.

  Attributes:
    num_classes: of the data; without effect.
    generator_sizes, critic_sizes: channels of each stage.
    noise: length of the noise.
    dtype: type of the convolutions; parameters and scores are float32.
  """

  num_classes: ranges.Count
  generator_sizes: tuple[ranges.Count, ...] = (32, 64, 128)
  critic_sizes: tuple[ranges.Count, ...] = (32, 64, 128)
  noise: ranges.Count = 100
  dtype: DTypeLike = "float32"

  def setup(self) -> None:
    """Makes the two networks."""
    self.generator = SmallGenerator(self.generator_sizes, self.dtype)
    self.critic = SmallCritic(self.critic_sizes, self.dtype)


VARIANTS = {
  "dagan_small": {
    "module": SmallDagan,
    "options": {},
    "spec": {
      "image_size": 28,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 1.0,
      "parameters": 620_452,
      "gmacs": 0.02791,
      "paper": "Radford et al. 2016, Unsupervised Representation Learning with "
      "Deep Convolutional Generative Adversarial Networks",
    },
  },
}
