"""ResNet v1.5, and the variants A, B, C and D of the Bag of Tricks.

He et al. 2016, Deep Residual Learning for Image Recognition, Table 1, with the
stride of a bottleneck in its 3x3 convolution ("v1.5", variant B) and the
padding, normalisation and initialisation of torchvision: symmetric padding (3,
3) and (1, 1), also for stride 2; epsilon 1e-5; running averages that keep 0.9
of their value; normal kernels with variance 2 / fan_out. One difference: the
running variance is biased (torchvision divides by n - 1). C and D are from He
et al. 2019, Bag of Tricks for Image Classification with CNNs, section 4.

Parameter names are torchvision's, with `layer1.0` written `layer1_0`,
`downsample.0` `downsample_conv` and `downsample.1` `downsample_bn`; the deep
stem has `conv1_0`, `bn1_0`, `conv1_1`, `bn1_1`, `conv1_2`, `bn1`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers, lookup
from jaxvision.layers import (
  activations,
  barriers,
  initializers,
  norms,
  pooling,
  scan_blocks,
)
from jaxvision.lookup import ranges

STEMS = ("imagenet", "deep", "small")
STRIDES = ("3x3", "1x1", "blur")
SHORTCUTS = ("conv", "pool")


@dataclasses.dataclass(frozen=True)
class Style:
  """The common parts of all blocks; strings are as in `ResNet`.

  Attributes:
    conv: makes a convolution without bias.
    norm: makes a normalisation.
    activation: elementwise function.
    last_scale: initialiser of the scale of a branch's last normalisation.
  """

  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  activation: Callable[[jax.Array], jax.Array]
  last_scale: initializers.Initializer
  stride: str
  shortcut: str
  squeeze_excite: int
  dtype: DTypeLike


def _strided(
  x: jax.Array, features: int, *, stride: int, bn: str, conv: str, style: Style
) -> jax.Array:
  """3x3 convolution, norm and activation; "blur" filters and subsamples."""
  blur = style.stride == "blur" and stride > 1
  y = style.conv(
    features,
    (3, 3),
    strides=1 if blur else stride,
    padding=1,
    name=conv,
  )(x)
  y = style.activation(style.norm(name=bn)(y))
  return pooling.blur_pool(y, stride=stride) if blur else y


def _basic(
  x: jax.Array, features: int, *, stride: int, style: Style
) -> jax.Array:
  y = _strided(x, features, stride=stride, conv="conv1", bn="bn1", style=style)
  y = style.conv(features, (3, 3), padding=1, name="conv2")(y)
  return style.norm(scale_init=style.last_scale, name="bn2")(y)


def _bottleneck(
  x: jax.Array, features: int, *, stride: int, style: Style
) -> jax.Array:
  first, second = (stride, 1) if style.stride == "1x1" else (1, stride)
  y = style.conv(features, (1, 1), strides=first, name="conv1")(x)
  y = style.activation(style.norm(name="bn1")(y))
  y = _strided(y, features, stride=second, conv="conv2", bn="bn2", style=style)
  y = style.conv(4 * features, (1, 1), name="conv3")(y)
  return style.norm(scale_init=style.last_scale, name="bn3")(y)


# Name -> (branch, factor of its output features).
BLOCKS = {"basic": (_basic, 1), "bottleneck": (_bottleneck, 4)}


class ResidualBlock(nn.Module):
  """A branch of convolutions, added to its input.

  Attributes:
    block: "basic" (two 3x3 convolutions, the first one strided) or "bottleneck"
      (1x1, strided 3x3, and 1x1 convolution to four times the features).
    features: channels of the 3x3 convolutions.
    stride: 1 or 2.
    style: the common parts of all blocks.
    drop_path: probability to drop the branch of an example, in training.
  """

  block: str
  features: int
  stride: int
  style: Style
  drop_path: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), c')."""
    branch, expansion = BLOCKS[self.block]
    style = self.style
    y = branch(x, self.features, stride=self.stride, style=style)
    if style.squeeze_excite:
      y = layers.SqueezeExcite(
        y.shape[-1] // style.squeeze_excite, dtype=style.dtype, name="se"
      )(y)
    y = layers.DropPath(self.drop_path)(y, train=train)
    x = self._shortcut(x, expansion * self.features)
    return style.activation(barriers.cotangent_barrier(y + x))

  def _shortcut(self, x: jax.Array, features: int) -> jax.Array:
    """Returns `x`, projected by a 1x1 convolution if its shape changes."""
    stride, style = self.stride, self.style
    if stride == 1 and x.shape[-1] == features:
      return x
    if style.shortcut == "pool" and stride > 1:
      x = pooling.avg_pool(x, 2, stride=stride, padding="SAME")
      stride = 1
    x = style.conv(features, (1, 1), strides=stride, name="downsample_conv")(x)
    return style.norm(name="downsample_bn")(x)


class ResNet(nn.Module):
  """Stem, stages of residual blocks, mean over space, linear classifier `fc`.

  Each stage after the first halves the resolution and doubles the features.

  Attributes:
    num_classes: length of the logits.
    blocks: number of blocks of each stage.
    block: "basic" or "bottleneck".
    features: width of the first stage.
    stem: "imagenet" (7x7 convolution of stride 2, 3x3 max-pooling of stride 2),
      "deep" (three 3x3 convolutions instead of the 7x7: C of the Bag of Tricks)
      or "small" (3x3 convolution of stride 1; for images of up to 64 pixels).
    stride: the layer that halves the resolution in a block: "3x3" (its first
      3x3 convolution: B), "1x1" (its first 1x1 convolution, as in the original
      bottleneck: A) or "blur" (a low-pass filter after the 3x3 convolution and
      after the max-pooling, Zhang 2019, section 3.2; shortcuts are unchanged).
    shortcut: shortcut of blocks that change the shape: "conv" (strided 1x1
      convolution) or "pool" (2x2 average, then 1x1 convolution: D of the Bag of
      Tricks).
    squeeze_excite: factor by which the gate of each branch reduces its
      channels, such as 16 (Hu et al. 2018); 0 for no gate.
    zero_gamma: start the last normalisation of each block with scale 0, so that
      each block starts as the identity (Goyal et al. 2017, section 5.1).
    drop_path: stochastic-depth rate of the last block, in training; it
      increases linearly from 0 in the first block.
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of the convolutions, a name in
      `jaxvision.layers.initializers`.
    scan_layers: compile equal blocks of a stage once and scan over them.
    dtype: type of the computation; parameters, batch statistics and logits are
      float32.
  """

  num_classes: ranges.Count
  blocks: tuple[ranges.Depth, ...]
  block: str = "basic"
  features: ranges.Count = 64
  stem: str = "imagenet"
  stride: str = "3x3"
  shortcut: str = "conv"
  squeeze_excite: ranges.Whole = 0
  zero_gamma: bool = False
  drop_path: ranges.Probability = 0.0
  activation: str = "relu"
  norm: str = "batch_norm"
  initializer: str = "he_normal_fan_out"
  scan_layers: bool = False
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train`, statistics are of the batch over all devices, and the
    collection `batch_stats` must be mutable.

    Raises:
      ValueError: the value of an option is unknown; the message has the nearest
        values.
    """
    self._check_names()
    style = self._style(train=train)
    x = self._stem(images, style=style)
    for i, count in enumerate(self.blocks):
      stage = [
        ResidualBlock(
          self.block,
          features=self.features * 2**i,
          stride=2 if i > 0 and j == 0 else 1,
          style=style,
          drop_path=self._drop_path(sum(self.blocks[:i]) + j),
          name=f"layer{i + 1}_{j}",
        )
        for j in range(count)
      ]
      x = scan_blocks.apply(stage[:1], x, scan=False, train=train)
      x = scan_blocks.apply(stage[1:], x, scan=self.scan_layers, train=train)
    return nn.Dense(
      self.num_classes,
      # The kernel is initialised as in torchvision; the bias starts at 0.
      kernel_init=initializers.create("torch_uniform"),
      dtype=jnp.float32,
      name="fc",
    )(x.mean(axis=(1, 2)))

  def _drop_path(self, number: int) -> float:
    return self.drop_path * number / max(1, sum(self.blocks) - 1)

  def _check_names(self) -> None:
    for kind, name, known in (
      ("block", self.block, BLOCKS),
      ("stem", self.stem, STEMS),
      ("stride", self.stride, STRIDES),
      ("shortcut", self.shortcut, SHORTCUTS),
    ):
      if name not in known:
        raise ValueError(lookup.unknown(kind, name, known))

  def _style(self, *, train: bool) -> Style:
    return Style(
      conv=functools.partial(
        layers.Conv,
        use_bias=False,
        padding=0,
        kernel_init=initializers.create(self.initializer),
        dtype=self.dtype,
      ),
      norm=norms.create(self.norm, train=train, dtype=self.dtype),
      activation=activations.create(self.activation),
      last_scale=nn.initializers.constant(0.0 if self.zero_gamma else 1.0),
      stride=self.stride,
      shortcut=self.shortcut,
      squeeze_excite=self.squeeze_excite,
      dtype=self.dtype,
    )

  def _stem(self, images: jax.Array, *, style: Style) -> jax.Array:
    conv, norm, activation = style.conv, style.norm, style.activation
    if self.stem == "small":
      x = conv(self.features, (3, 3), padding=1, name="conv1")(images)
      return activation(norm(name="bn1")(x))
    if self.stem == "deep":
      x = images
      for i, stride in enumerate((2, 1)):
        name, width = f"conv1_{i}", self.features // 2
        x = conv(width, (3, 3), strides=stride, padding=1, name=name)(x)
        x = activation(norm(name=f"bn1_{i}")(x))
      x = conv(self.features, (3, 3), padding=1, name="conv1_2")(x)
    else:
      x = conv(self.features, (7, 7), strides=2, padding=3, name="conv1")(
        images
      )
    x = activation(norm(name="bn1")(x))
    around = ((1, 1), (1, 1))
    if self.stride != "blur":
      return pooling.max_pool(x, 3, stride=2, padding=around)
    x = pooling.max_pool(x, 3, stride=1, padding=around)
    return pooling.blur_pool(x, stride=2)


# Depth -> blocks of each stage, type of block, parameters, GMACs, and top-1 of
# torchvision's first weights.
_DEPTHS = {
  18: ((2, 2, 2, 2), "basic", 11_689_512, 1.814, 69.758),
  34: ((3, 4, 6, 3), "basic", 21_797_672, 3.664, 73.314),
  50: ((3, 4, 6, 3), "bottleneck", 25_557_032, 4.089, 76.130),
  101: ((3, 4, 23, 3), "bottleneck", 44_549_160, 7.801, 77.374),
  152: ((3, 8, 36, 3), "bottleneck", 60_192_808, 11.514, 78.312),
}
# Letter -> options, additional parameters and GMACs.
_TWEAKS = {
  "": ({}, 0, 0.0),
  "b": ({}, 0, 0.0),
  "c": ({"stem": "deep"}, 19_232, 0.24),
  "d": ({"stem": "deep", "shortcut": "pool"}, 19_232, 0.24),
}
# Top-1 of GluonCV, by the authors of the Bag of Tricks.
_GLUON = {
  "50b": 77.67,
  "50c": 78.03,
  "50d": 79.15,
  "101d": 80.51,
  "152d": 80.61,
}


def _variant(depth: int, letter: str) -> dict[str, Any]:
  blocks, block, parameters, gmacs, torchvision = _DEPTHS[depth]
  options, more_parameters, more_gmacs = _TWEAKS[letter]
  gluon = _GLUON.get(f"{depth}{letter}")
  original = "He et al. 2016, Deep Residual Learning for Image Recognition"
  return {
    "module": ResNet,
    "options": {"blocks": blocks, "block": block, **options},
    "spec": {
      "image_size": 224,
      "mean": (0.485, 0.456, 0.406),
      "std": (0.229, 0.224, 0.225),
      "crop_fraction": 0.875,
      "parameters": parameters + more_parameters,
      "gmacs": round(gmacs + more_gmacs, 3),
      "top1": gluon if letter else torchvision,
      "top1_source": ("GluonCV" if gluon else "")
      if letter
      else "torchvision IMAGENET1K_V1",
      "paper": "He et al. 2019, Bag of Tricks, section 4"
      if letter
      else f"{original}, Table 1 (v1.5)",
    },
  }


VARIANTS = {
  f"resnet{depth}{letter}": _variant(depth, letter)
  for depth in _DEPTHS
  for letter in (_TWEAKS if depth >= 50 else ("",))
}
