"""DAGAN: a generator and a critic of pairs of images of one class.

Antoniou, Storkey and Edwards 2017, Data Augmentation Generative Adversarial
Networks (arXiv 1711.04340). The generator is a UResNet of an image and noise,
the critic a DenseNet of a pair of images. No network knows the class, so both
work for classes that training did not see.

Both are those of the authors' code (github.com/AntreasAntoniou/DAGAN, commit
6f1a503), with these differences, as in github.com/amurthy1/dagan_torch (commit
66d29d3): batch normalisation instead of batch renormalisation, and no fourth
projection of the noise, which that code builds and does not use. The critic
normalises over all values of a map, because the penalty of its gradient is per
image (Gulrajani et al. 2017, Improved Training of Wasserstein GANs, section 4).
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import image_pairs
from jaxvision.lookup import ranges

_NOISE_CHANNELS = (8, 4, 2)  # of the three smallest maps of the decoder


def _sides(image: tuple[int, int], stages: int) -> list[tuple[int, int]]:
  """The sizes of the image and of the maps after each stride of 2."""
  found = [image]
  for _ in range(stages):
    height, width = found[-1]
    found.append((-(-height // 2), -(-width // 2)))
  return found


class Encoder(nn.Module):
  """A stage of dense connections that ends with a stride of 2.

  Attributes:
    features: number of channels of each layer.
    count: layers before the strided one, at least 1.
    layer: makes a `Layer`.
    drop: after the last layer.
    dtype: type of the convolutions.
  """

  features: int
  count: int
  layer: Callable[..., nn.Module]
  drop: Callable[[jax.Array], jax.Array]
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self, before: jax.Array, x: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the last two maps of (b, 2h, 2w, d) and (b, h, w, c)."""
    shortcut = image_pairs.conv(
      before.shape[-1], 2, dtype=self.dtype, name="shortcut"
    )
    maps = [x]
    for i in range(self.count):
      given = [x, shortcut(before)] if i == 0 else maps
      layer = self.layer(self.features, name=f"layer{i}")
      maps.append(layer(jnp.concatenate(given, axis=-1)))
    last = self.layer(self.features, stride=2, drop=self.drop, name="reduce")
    return maps[-1], last(jnp.concatenate(maps, axis=-1))


class Decoder(nn.Module):
  """A stage of dense connections that ends with an enlargement.

  Attributes:
    features: number of channels of each layer.
    count: layers before the enlargement, at least 1.
    layer: makes a `Layer`.
    drop: after the enlargement.
    dtype: type of the convolutions.
  """

  features: int
  count: int
  layer: Callable[..., nn.Module]
  drop: Callable[[jax.Array], jax.Array]
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self,
    before: jax.Array | None,
    x: jax.Array,
    size: tuple[int, int] | None,
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the last two maps.

    Args:
      before: the second-last map before this stage, of half the size; None in
        the first stage.
      x: (b, h, w, c).
      size: of the enlarged map; None for no enlargement.
    """
    maps = [x]
    for i in range(self.count):
      given = maps
      if before is not None:
        larger = image_pairs.enlarge(before, x.shape[1:3])
        shortcut = image_pairs.conv(
          before.shape[-1], dtype=self.dtype, name=f"shortcut{i}"
        )
        given = [*maps, shortcut(larger)]
      layer = self.layer(self.features, name=f"layer{i}")
      maps.append(layer(jnp.concatenate(given, axis=-1)))
    if size is not None:
      larger = image_pairs.enlarge(jnp.concatenate(maps, axis=-1), size)
      layer = self.layer(self.features, drop=self.drop, name="enlarge")
      maps.append(layer(larger))
    return maps[-2], maps[-1]


class UResNet(nn.Module):
  """The generator.

  Attributes:
    sizes: channels of each stage.
    count: layers of a stage before its stride or enlargement.
    dropout: rate of dropout after strides and enlargements.
    dtype: type of the convolutions.
  """

  sizes: Sequence[int]
  count: int
  dropout: float
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self, images: jax.Array, noise: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps (b, h, w, c) and noise (b, n) to images (b, h, w, c)."""
    drop = nn.Dropout(self.dropout, deterministic=not train)
    layer = functools.partial(
      image_pairs.Layer,
      norm=image_pairs.generator_norm(train, self.dtype),
      dtype=self.dtype,
    )
    stages = {"count": self.count, "layer": layer, "drop": drop}
    stages["dtype"] = self.dtype
    before, x = images, layer(self.sizes[0], stride=2, name="encode0")(images)
    maps = [images, x]
    for i, size in enumerate(self.sizes[1:], start=1):
      encode = Encoder(size, name=f"encode{i}", **stages)
      before, x = encode(before, x)
      maps.append(x)
    sides, before = _sides(images.shape[1:3], len(self.sizes)), None
    for i, across in enumerate(reversed(maps)):
      given = [across] if i == 0 else [x, across]
      if i < len(_NOISE_CHANNELS):
        given.append(self._noise_map(noise, i, across.shape[1:3]))
      size = self.sizes[max(len(self.sizes) - 1 - i, 0)]
      decode = Decoder(size, name=f"decode{i}", **stages)
      is_last = i == len(self.sizes)
      x = jnp.concatenate(given, axis=-1)
      before, x = decode(before, x, None if is_last else sides[-2 - i])
    for i in range(2):
      x = layer(self.sizes[0], name=f"final{i}")(x)
    x = image_pairs.conv(images.shape[-1], dtype=jnp.float32, name="image")(x)
    return jnp.tanh(x)

  def _noise_map(
    self, noise: jax.Array, i: int, size: tuple[int, int]
  ) -> jax.Array:
    """The noise as a map (b, *size, channels) for stage i of the decoder."""
    shape = (*size, _NOISE_CHANNELS[i])
    width = shape[0] * shape[1] * shape[2]
    made = nn.Dense(width, dtype=self.dtype, name=f"noise{i}")(noise)
    return made.reshape(-1, *shape)


class DenseCritic(nn.Module):
  """The critic.

  Attributes:
    sizes, dropout, dtype: as in `UResNet`.
    count: layers of a stage before its stride.
    hidden: width of the layer on the mean of the last map.
  """

  sizes: Sequence[int]
  count: int
  dropout: float
  hidden: int
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(
    self, images: jax.Array, others: jax.Array, *, train: bool
  ) -> jax.Array:
    """Maps two (b, h, w, c) to scores (b,), larger for real pairs."""
    drop = nn.Dropout(self.dropout, deterministic=not train)
    norm = functools.partial(image_pairs.MapNorm, dtype=self.dtype)
    layer = functools.partial(image_pairs.Layer, norm=norm, dtype=self.dtype)
    before = jnp.concatenate([images, others], axis=-1)
    x = layer(self.sizes[0], stride=2, name="encode0")(before)
    for i, size in enumerate(self.sizes[1:], start=1):
      encode = Encoder(
        size, self.count, layer, drop, self.dtype, name=f"encode{i}"
      )
      before, x = encode(before, x)
    x = x.astype(jnp.float32)
    mean = image_pairs.leaky_relu(
      nn.Dense(self.hidden, name="mean")(x.mean(axis=(1, 2)))
    )
    both = jnp.concatenate([mean, x.reshape(x.shape[0], -1)], axis=-1)
    return nn.Dense(1, name="score")(both)[:, 0]


class Dagan(image_pairs.ImagePairs):
  """The pair of the paper's authors.

  Attributes:
    num_classes: of the data; without effect.
    sizes: channels of each stage of both networks.
    generator_layers, critic_layers: layers of a stage before its stride.
    noise: length of the noise.
    hidden: width of the critic's layer on the mean of its last map.
    dropout: rate after strides and enlargements, in training.
    dtype: type of the convolutions; parameters and scores are float32.
  """

  num_classes: ranges.Count
  sizes: tuple[ranges.Count, ...] = (64, 64, 128, 128)
  generator_layers: ranges.Count = 3
  critic_layers: ranges.Count = 5
  noise: ranges.Count = 100
  hidden: ranges.Count = 1024
  dropout: ranges.Probability = 0.5
  dtype: DTypeLike = "float32"

  def setup(self) -> None:
    """Makes the two networks."""
    shared = {"sizes": self.sizes, "dropout": self.dropout, "dtype": self.dtype}
    self.generator = UResNet(count=self.generator_layers, **shared)
    self.critic = DenseCritic(
      count=self.critic_layers, hidden=self.hidden, **shared
    )


VARIANTS = {
  "dagan": {
    "module": Dagan,
    "options": {},
    "spec": {
      "image_size": 28,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 1.0,
      "parameters": 17_610_860,
      "gmacs": 1.238,
      "paper": "Antoniou et al. 2017, Data Augmentation Generative Adversarial "
      "Networks",
    },
  },
}
