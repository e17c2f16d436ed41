"""AlexNet: five convolutions and three Dense layers, with one or two towers.

`AlexNet2012` is the network of Krizhevsky et al. 2012, ImageNet Classification
with Deep Convolutional Neural Networks. Its two towers are two groups of
channels, which are connected only in the third convolution and in the Dense
layers. It needs images of 227 pixels (the paper has 224, which does not give a
55x55 map). Layers have the names of the published Caffe file, `conv1` to `fc8`.

`AlexNet` is the single tower of Krizhevsky 2014, One weird trick for
parallelizing convolutional neural networks, as in torchvision: the map is
averaged to 6x6 positions, so any image size is possible. Parameter names are
torchvision's, with `features.0` written `features_0`. torchvision flattens the
map in the order (channel, row, column), this module in the order (row, column,
channel), so the inputs of `classifier_1/kernel` are permuted. Biases start at
zero.

With `stem="small"` both are for images of about 32 pixels: the first
convolution is padded by 5, poolings are 2x2 without overlap, and the only Dense
layer is the classifier, on the mean over space.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers, lookup
from jaxvision.layers import activations, initializers, norms, pooling
from jaxvision.lookup import ranges

Layer = Callable[..., jax.Array]
STEMS = ("imagenet", "small")

# Sides of the kernels; the first one has stride 4. Poolings follow the first,
# the second and the last.
_KERNELS = (11, 5, 3, 3, 3)
_POOLED = (0, 1, 4)
_MAP = 6  # Side of the map before the Dense layers.


def local_response_norm(
  x: jax.Array, *, size: int = 5, k: float = 2.0, alpha: float = 1e-4
) -> jax.Array:
  """Divides by a power of the squares of neighbouring channels.

  x / (k + alpha * sum of the squares of `size` channels)^0.75, section 3.3 of
  the paper. (Caffe and torch divide alpha by `size`, and use k = 1.) Channels
  before the first and after the last are zero; the towers are adjacent.

  Args:
    x: (..., c); computed in float32 at least.
    size: odd number of channels around the divided channel.
    k: constant that keeps the divisor positive.
    alpha: weight of the squares.
  """
  wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  channels, reach = x.shape[-1], size // 2
  padding = [(0, 0)] * (x.ndim - 1) + [(reach, reach)]
  squares = jnp.pad(jnp.square(wide), padding)
  total = sum(squares[..., i : i + channels] for i in range(size))
  # Two roots are several times faster than a power.
  root = jax.lax.rsqrt(k + alpha * total)
  return (wide * root * jnp.sqrt(root)).astype(x.dtype)


def _convolutions(
  x: jax.Array, *, layer: Layer, stem: str, padding: int
) -> jax.Array:
  """Applies layer(x, i, kernel_size=, ...) and the poolings.

  Args:
    x: (b, h, w, c).
    layer: a convolution with everything before the pooling.
    stem: one of `STEMS`.
    padding: padding of the first convolution, with the stem "imagenet".
  """
  first = {"strides": 4, "padding": 5 if stem == "small" else padding}
  for i, kernel in enumerate(_KERNELS):
    options = first if i == 0 else {"padding": kernel // 2}
    x = layer(x, i, kernel_size=(kernel, kernel), **options)
    if i in _POOLED and stem == "small":
      # "SAME" keeps at least one position for small images.
      x = pooling.max_pool(x, 2, stride=2, padding="SAME")
    elif i in _POOLED:
      x = pooling.max_pool(x, 3, stride=2)
  return x


def _side(size: int, *, padding: int) -> int:
  """Returns the side of the last map, with the stem "imagenet"."""
  side = (size + 2 * padding - _KERNELS[0]) // 4 + 1
  for _ in _POOLED:
    side = (side - 3) // 2 + 1
  return side


class AlexNet(nn.Module):
  """One tower without response normalisation (2014).

  Attributes:
    num_classes: length of the logits.
    features: channels of each convolution.
    hidden: width of each Dense layer before the classifier; not used with the
      stem "small".
    stem: "imagenet", or "small" for images of about 32 pixels.
    norm: normalisation after each convolution: "none", or as for
      `jaxvision.layers.norms`.
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of all kernels, as for
      `jaxvision.layers.initializers`.
    dropout: dropout rate before each hidden Dense layer, in training.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  features: tuple[ranges.Count, ...] = (64, 192, 384, 256, 256)
  hidden: tuple[ranges.Count, ...] = (4096, 4096)
  stem: str = "imagenet"
  norm: str = "none"
  activation: str = "relu"
  initializer: str = "torch_uniform"
  dropout: ranges.Probability = 0.5
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: the stem is unknown, or the image is too small for it.
    """
    _check_stem(self.stem)
    size = min(images.shape[1:3])
    if self.stem == "imagenet" and _side(size, padding=2) < 1:
      raise ValueError(
        f"image size {size} is too small for three poolings after a "
        "convolution of stride 4; use at least 63, or stem='small'"
      )
    layer = functools.partial(self._layer, train=train)
    x = _convolutions(images, layer=layer, stem=self.stem, padding=2)
    if self.stem == "small":
      return self._dense(x.mean(axis=(1, 2)), hidden=(), train=train)
    x = pooling.adaptive_avg_pool(x, _MAP).reshape(x.shape[0], -1)
    return self._dense(x, hidden=self.hidden, train=train)

  def _layer(
    self, x: jax.Array, i: int, *, train: bool, **options: Any
  ) -> jax.Array:
    x = layers.Conv(
      self.features[i],
      kernel_init=initializers.create(self.initializer),
      dtype=self.dtype,
      # As torchvision counts: activations and poolings too.
      name=f"features_{(0, 3, 6, 8, 10)[i]}",
      **options,
    )(x)
    if self.norm != "none":
      norm = norms.create(self.norm, train=train, dtype=self.dtype)
      x = norm(name=f"norm{i + 1}")(x)
    return activations.create(self.activation)(x)

  def _dense(
    self, x: jax.Array, *, hidden: tuple[int, ...], train: bool
  ) -> jax.Array:
    kernel_init = initializers.create(self.initializer)
    for i, width in enumerate(hidden):
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
      x = nn.Dense(
        width,
        kernel_init=kernel_init,
        dtype=self.dtype,
        name=f"classifier_{3 * i + 1}",
      )(x)
      x = activations.create(self.activation)(x)
    return nn.Dense(
      self.num_classes,
      kernel_init=kernel_init,
      dtype=jnp.float32,
      name=f"classifier_{3 * len(hidden)}",
    )(x)


class AlexNet2012(nn.Module):
  """Two towers with local response normalisation (2012).

  Biases of the second, fourth and fifth convolution and of the hidden Dense
  layers start at one (section 5 of the paper; 0.1 in the Caffe file).

  Attributes: as in `AlexNet`, and
    groups: groups (towers) of the second, fourth and fifth convolution.
    norm: "local_response" (after the activation of the first two convolutions),
      "none", or as for `jaxvision.layers.norms` (after each convolution).
    dropout: dropout rate after each hidden Dense layer, in training.
  """

  num_classes: ranges.Count
  features: tuple[ranges.Count, ...] = (96, 256, 384, 384, 256)
  hidden: tuple[ranges.Count, ...] = (4096, 4096)
  groups: ranges.Count = 2
  stem: str = "imagenet"
  norm: str = "local_response"
  activation: str = "relu"
  initializer: str = "normal(0.01)"
  dropout: ranges.Probability = 0.5
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: the stem is unknown, or the image does not give the 6x6
        positions for the Dense layers.
    """
    _check_stem(self.stem)
    for size in images.shape[1:3]:
      side = _side(size, padding=0)
      if self.stem == "imagenet" and side != _MAP:
        raise ValueError(
          f"image size {size} gives a map of side {max(side, 0)}, but fc6 "
          "needs 6x6 positions; use 227 to 258, or stem='small', or the model "
          "alexnet, which accepts any size from 63"
        )
    layer = functools.partial(self._layer, train=train)
    x = _convolutions(images, layer=layer, stem=self.stem, padding=0)
    if self.stem == "small":
      return self._dense(x.mean(axis=(1, 2)), hidden=(), train=train)
    x = x.reshape(x.shape[0], -1)
    return self._dense(x, hidden=self.hidden, train=train)

  def _layer(
    self, x: jax.Array, i: int, *, train: bool, **options: Any
  ) -> jax.Array:
    grouped = i in (1, 3, 4)
    x = layers.Conv(
      self.features[i],
      feature_group_count=self.groups if grouped else 1,
      kernel_init=initializers.create(self.initializer),
      bias_init=nn.initializers.constant(1.0 if grouped else 0.0),
      dtype=self.dtype,
      name=f"conv{i + 1}",
      **options,
    )(x)
    if self.norm not in ("none", "local_response"):
      norm = norms.create(self.norm, train=train, dtype=self.dtype)
      x = norm(name=f"norm{i + 1}")(x)
    x = activations.create(self.activation)(x)
    if self.norm == "local_response" and i in (0, 1):
      x = local_response_norm(x)
    return x

  def _dense(
    self, x: jax.Array, *, hidden: tuple[int, ...], train: bool
  ) -> jax.Array:
    kernel_init = initializers.create(self.initializer)
    for i, width in enumerate(hidden):
      x = nn.Dense(
        width,
        kernel_init=kernel_init,
        bias_init=nn.initializers.ones,
        dtype=self.dtype,
        name=f"fc{6 + i}",
      )(x)
      x = activations.create(self.activation)(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(
      self.num_classes,
      kernel_init=kernel_init,
      dtype=jnp.float32,
      name=f"fc{6 + len(hidden)}",
    )(x)


def _check_stem(stem: str) -> None:
  if stem not in STEMS:
    raise ValueError(lookup.unknown("stem", stem, STEMS))


VARIANTS = {
  "alexnet": {
    "module": AlexNet,
    "options": {},
    "spec": {
      "image_size": 224,
      "mean": (0.485, 0.456, 0.406),
      "std": (0.229, 0.224, 0.225),
      "crop_fraction": 0.875,
      "parameters": 61_100_840,
      "gmacs": 0.714,
      "top1": 56.522,
      "top1_source": "torchvision IMAGENET1K_V1",
      "paper": "Krizhevsky 2014, One weird trick for parallelizing "
      "convolutional neural networks",
    },
  },
  "alexnet_2012": {
    "module": AlexNet2012,
    "options": {},
    "spec": {
      "image_size": 227,
      "mean": (0.485, 0.456, 0.406),
      # Pixels are in [0, 255], and only the mean is subtracted.
      "std": (1 / 255, 1 / 255, 1 / 255),
      "crop_fraction": 227 / 256,
      "parameters": 60_965_224,
      "gmacs": 0.724,
      "top1": 59.3,
      "top1_source": "the paper, Table 2, one network, ten crops",
      "paper": "Krizhevsky et al. 2012, ImageNet Classification with Deep "
      "Convolutional Neural Networks",
    },
  },
}
