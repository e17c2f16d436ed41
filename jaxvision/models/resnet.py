"""ResNet v1.5: residual blocks with batch normalisation after each convolution.

He et al. 2016, Deep Residual Learning for Image Recognition, Table 1, with the
stride of a bottleneck on its 3x3 convolution ("v1.5") and the padding,
normalisation and initialisation of torchvision: symmetric padding (3, 3) and
(1, 1) also where the stride is 2, epsilon 1e-5, running averages that keep 0.9
of their value, normal kernels of variance 2 / fan_out. One difference: the
running variance is the biased one (torchvision's has n - 1).

Parameter names are torchvision's, with `layer1.0` written `layer1_0`,
`downsample.0` `downsample_conv` and `downsample.1` `downsample_bn`.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import spelling

Layer = Callable[..., Any]  # A partially applied Linen module.


def _shortcut(
  x: jax.Array, *, features: int, stride: int, conv: Layer, norm: Layer
) -> jax.Array:
  """Returns `x`, projected by a 1x1 convolution where its shape must change."""
  if stride == 1 and x.shape[-1] == features:
    return x
  x = conv(features, (1, 1), strides=stride, name="downsample_conv")(x)
  return norm(name="downsample_bn")(x)


class BasicBlock(nn.Module):
  """Two 3x3 convolutions, the first one strided (ResNet-18 and -34).

  Attributes:
    features: channels of the output.
    stride: of the first convolution and of the projection.
    conv: makes a convolution without bias.
    norm: makes a normalisation.
    last_scale: initialises the scale of the last normalisation.
  """

  features: int
  stride: int
  conv: Layer
  norm: Layer
  last_scale: Layer

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), features)."""
    three = functools.partial(self.conv, self.features, (3, 3), padding=1)
    y = three(strides=self.stride, name="conv1")(x)
    y = nn.relu(self.norm(name="bn1")(y))
    y = three(name="conv2")(y)
    y = self.norm(scale_init=self.last_scale, name="bn2")(y)
    x = _shortcut(
      x,
      features=self.features,
      stride=self.stride,
      conv=self.conv,
      norm=self.norm,
    )
    return nn.relu(x + y)


class BottleneckBlock(nn.Module):
  """1x1, strided 3x3, and 1x1 convolution to four times the features.

  Attributes: as of `BasicBlock`, with `features` those of the 3x3 convolution.
  """

  features: int
  stride: int
  conv: Layer
  norm: Layer
  last_scale: Layer

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), 4 features)."""
    y = self.conv(self.features, (1, 1), name="conv1")(x)
    y = nn.relu(self.norm(name="bn1")(y))
    y = self.conv(
      self.features, (3, 3), strides=self.stride, padding=1, name="conv2"
    )(y)
    y = nn.relu(self.norm(name="bn2")(y))
    y = self.conv(4 * self.features, (1, 1), name="conv3")(y)
    y = self.norm(scale_init=self.last_scale, name="bn3")(y)
    x = _shortcut(
      x,
      features=4 * self.features,
      stride=self.stride,
      conv=self.conv,
      norm=self.norm,
    )
    return nn.relu(x + y)


BLOCKS = {"basic": BasicBlock, "bottleneck": BottleneckBlock}
STEMS = ("imagenet", "small")


class ResNet(nn.Module):
  """Stem, stages of residual blocks, mean over space, linear classifier `fc`.

  Each stage after the first halves the resolution and doubles the features.

  Attributes:
    num_classes: length of the logits.
    blocks: number of blocks of each stage.
    block: "basic" or "bottleneck".
    features: width of the first stage.
    stem: "imagenet" (7x7 convolution of stride 2, 3x3 max-pooling of stride 2)
      or "small" (3x3 convolution of stride 1; for images of up to 64 pixels).
    zero_gamma: start the last normalisation of each block with scale 0, so that
      every block starts as the identity (Goyal et al. 2017, section 5.1).
    dtype: of the computation; parameters, batch statistics and logits are
      float32.
  """

  num_classes: int
  blocks: tuple[int, ...]
  block: str = "basic"
  features: int = 64
  stem: str = "imagenet"
  zero_gamma: bool = False
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train` the statistics are those of the batch, over all devices, and
    the collection `batch_stats` must be mutable.

    Raises:
      ValueError: if there is no such block or stem.
    """
    if self.block not in BLOCKS:
      raise ValueError(spelling.unknown("block", self.block, BLOCKS))
    block = BLOCKS[self.block]
    layers = self._layers(train=train)
    x = self._stem(images, **layers)
    for i, count in enumerate(self.blocks):
      for j in range(count):
        x = block(
          features=self.features * 2**i,
          stride=2 if i > 0 and j == 0 else 1,
          last_scale=self._last_scale(),
          name=f"layer{i + 1}_{j}",
          **layers,
        )(x)
    return nn.Dense(
      self.num_classes,
      # torchvision's U(-1/sqrt(n), 1/sqrt(n)), but the bias starts at 0.
      kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
      dtype=jnp.float32,
      name="fc",
    )(x.mean(axis=(1, 2)))

  def _layers(self, *, train: bool) -> dict[str, Layer]:
    """Returns the convolution and the normalisation that all parts share."""
    return {
      "conv": functools.partial(
        nn.Conv,
        use_bias=False,
        padding=0,
        kernel_init=nn.initializers.variance_scaling(2, "fan_out", "normal"),
        dtype=self.dtype,
      ),
      "norm": functools.partial(
        nn.BatchNorm,
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        dtype=self.dtype,
      ),
    }

  def _last_scale(self) -> Layer:
    if self.zero_gamma:
      return nn.initializers.zeros
    return nn.initializers.ones

  def _stem(self, images: jax.Array, *, conv: Layer, norm: Layer) -> jax.Array:
    if self.stem not in STEMS:
      raise ValueError(spelling.unknown("stem", self.stem, STEMS))
    if self.stem == "small":
      x = conv(self.features, (3, 3), padding=1, name="conv1")(images)
      return nn.relu(norm(name="bn1")(x))
    x = conv(self.features, (7, 7), strides=2, padding=3, name="conv1")(images)
    x = nn.relu(norm(name="bn1")(x))
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


def _variant(
  *, blocks: tuple[int, ...], block: str, parameters: int
) -> dict[str, Any]:
  return {
    "module": ResNet,
    "options": {"blocks": blocks, "block": block},
    "spec": {
      "image_size": 224,
      "mean": (0.485, 0.456, 0.406),
      "std": (0.229, 0.224, 0.225),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "paper": "He et al. 2016, Deep Residual Learning for Image Recognition, "
      "Table 1 (v1.5)",
    },
  }


VARIANTS = {
  "resnet18": _variant(
    blocks=(2, 2, 2, 2), block="basic", parameters=11_689_512
  ),
  "resnet34": _variant(
    blocks=(3, 4, 6, 3), block="basic", parameters=21_797_672
  ),
  "resnet50": _variant(
    blocks=(3, 4, 6, 3), block="bottleneck", parameters=25_557_032
  ),
  "resnet101": _variant(
    blocks=(3, 4, 23, 3), block="bottleneck", parameters=44_549_160
  ),
  "resnet152": _variant(
    blocks=(3, 8, 36, 3), block="bottleneck", parameters=60_192_808
  ),
}
