"""EfficientNet: a mobile network, scaled in width, depth and resolution.

Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks. Table 1 is B0. B1 to B7 are scaled by the coefficients of the authors'
code, which are not powers of those in section 3.3 of the paper. The code is
also the source of TensorFlow's "SAME" padding (asymmetric for stride 2), batch
normalisation with epsilon 1e-3 and running averages that keep 0.99 of their
value, drop connect that increases linearly to 0.2, and the initialisation.
torchvision's weights need `padding="symmetric"`, and up to B4
`norm_epsilon=1e-5`.

The Lite networks have no paper, only the authors' code and its README, in
models/official/efficientnet/lite of TensorFlow's TPU repository. They have no
squeeze-and-excite, and ReLU6 instead of swish, for quantisation to integers.
Scaling does not change the features of the stem and of the head, nor the number
of blocks of the first and of the last stage. The input is (pixel - 127) / 128.

Parameter names are timm's, with `blocks.0.0` written `blocks_0_0`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers, lookup
from jaxvision.layers import activations, barriers, initializers, norms
from jaxvision.lookup import ranges

Layer = Callable[..., Any]  # A partially applied Linen module.

# Repeats, kernel size, stride, expansion and features of each stage of B0.
STAGES = (
  (1, 3, 1, 1, 16),
  (2, 3, 2, 6, 24),
  (2, 5, 2, 6, 40),
  (3, 3, 2, 6, 80),
  (3, 5, 1, 6, 112),
  (4, 5, 2, 6, 192),
  (1, 3, 1, 6, 320),
)
STEM_FEATURES, HEAD_FEATURES = 32, 1280  # Of B0.
STEM_STRIDES = {"imagenet": 2, "small": 1}
PADDINGS = ("same", "symmetric")
SCALINGS = ("all", "body")


def round_features(features: int, *, width: float) -> int:
  """Returns width * features as a multiple of 8, at least 0.9 times as many."""
  scaled = width * features
  rounded = max(8, int(scaled + 4) // 8 * 8)
  return rounded if rounded >= 0.9 * scaled else rounded + 8


class MBConv(nn.Module):
  """Expansion, depthwise convolution, squeeze-and-excite, linear projection.

  The input is added if it has the shape of the output.

  Attributes:
    features: channels of the output.
    kernel_size: kernel size of the depthwise convolution.
    stride: stride of the depthwise convolution.
    expansion: channels of the depthwise convolution per channel of the input;
      with 1 there is no expanding convolution, and the names are those of
      timm's separable block.
    drop_rate: probability to drop the residual branch.
    conv: makes a 1x1 convolution without bias.
    depthwise: makes a depthwise convolution.
    norm: makes a normalisation.
    squeeze_excite: makes the gate, given the channels of the input; None for
      no gate.
    activation: applied after each normalisation except the last.
  """

  features: int
  kernel_size: int
  stride: int
  expansion: int
  drop_rate: float
  conv: Layer
  depthwise: Layer
  norm: Layer
  squeeze_excite: Layer | None
  activation: activations.Activation

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), features)."""
    channels, expands = x.shape[-1], self.expansion > 1
    y = x
    if expands:
      y = self.conv(self.expansion * channels, name="conv_pw")(y)
      y = self.activation(self.norm(name="bn1")(y))
    y = self.depthwise(self.kernel_size, stride=self.stride, name="conv_dw")(y)
    y = self.activation(self.norm(name="bn2" if expands else "bn1")(y))
    if self.squeeze_excite is not None:
      y = self.squeeze_excite(channels, name="se")(y)
    y = self.conv(self.features, name="conv_pwl" if expands else "conv_pw")(y)
    y = self.norm(name="bn3" if expands else "bn2")(y)
    if self.stride > 1 or channels != self.features:
      return y
    return barriers.cotangent_barrier(
      x + layers.DropPath(self.drop_rate)(y, train=train)
    )


class EfficientNet(nn.Module):
  """Stem, stages of MBConv, 1x1 convolution, mean over space, `classifier`.

  Attributes:
    num_classes: length of the logits.
    width: factor of the features of all layers (`round_features`).
    depth: factor of the repeats of all stages, rounded up.
    scaling: "all", or "body": `width` does not change the features of the stem
      and of the head, `depth` not the repeats of the first and last stage.
    dropout: dropout rate before the classifier, in training.
    drop_connect: stochastic-depth rate; block i of n, from 0, has the rate
      drop_connect * i / n.
    stages: repeats, kernel size, stride, expansion and features of each stage,
      before scaling.
    squeeze_excite: channels of a block's input per channel inside its gate; 0
      for no gate.
    stem: "imagenet" (its 3x3 convolution has stride 2) or "small" (stride 1;
      for images of up to 64 pixels).
    padding: "same" (TensorFlow's) or "symmetric" (torchvision's).
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    norm_epsilon: added to the variances.
    norm_momentum: fraction of the running averages that is kept at each batch;
      training of a few hundred steps needs a smaller one than the default.
    initializer: initialiser of all convolutions, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation; parameters, batch statistics and logits are
      float32.
  """

  num_classes: ranges.Count
  width: ranges.Positive = 1.0
  depth: ranges.Positive = 1.0
  scaling: str = "all"
  dropout: ranges.Probability = 0.2
  drop_connect: ranges.Probability = 0.2
  stages: tuple[
    tuple[
      ranges.Depth,
      ranges.Count,
      ranges.Count,
      ranges.Count,
      ranges.Count,
    ],
    ...,
  ] = STAGES
  squeeze_excite: ranges.Whole = 4
  stem: str = "imagenet"
  padding: str = "same"
  activation: str = "swish"
  norm: str = "batch_norm"
  norm_epsilon: ranges.NonNegative = 1e-3
  norm_momentum: ranges.Probability = 0.99
  initializer: str = "he_normal_fan_out"
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train`, statistics are of the batch over all devices, the collection
    `batch_stats` must be mutable, and the random stream "dropout" is used.

    Raises:
      ValueError: a name is unknown; the message has the nearest names.
    """
    self._check_names()
    parts = self._parts(train=train)
    conv, norm, activation = parts["conv"], parts["norm"], parts["activation"]
    x = conv(
      self._at_ends(STEM_FEATURES),
      kernel_size=(3, 3),
      strides=STEM_STRIDES[self.stem],
      padding="SAME" if self.padding == "same" else 1,
      name="conv_stem",
    )(images)
    x = activation(norm(name="bn1")(x))
    for name, block in self._blocks().items():
      x = MBConv(**block, **parts, name=name)(x, train=train)
    x = conv(self._at_ends(HEAD_FEATURES), name="conv_head")(x)
    x = activation(norm(name="bn2")(x)).mean(axis=(1, 2))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(
      self.num_classes,
      kernel_init=initializers.create("uniform_fan_out"),
      dtype=jnp.float32,
      name="classifier",
    )(x)

  @property
  def repeats(self) -> tuple[int, ...]:
    """Returns the number of blocks of each stage, after scaling."""
    last = len(self.stages) - 1
    return tuple(
      repeats
      if self.scaling == "body" and i in (0, last)
      else math.ceil(self.depth * repeats)
      for i, (repeats, *_) in enumerate(self.stages)
    )

  def _check_names(self) -> None:
    if self.stem not in STEM_STRIDES:
      raise ValueError(lookup.unknown("stem", self.stem, STEM_STRIDES))
    if self.padding not in PADDINGS:
      raise ValueError(lookup.unknown("padding", self.padding, PADDINGS))
    if self.scaling not in SCALINGS:
      raise ValueError(lookup.unknown("scaling", self.scaling, SCALINGS))

  def _at_ends(self, features: int) -> int:
    """Returns the features of the stem or of the head."""
    return features if self.scaling == "body" else self._scaled(features)

  def _scaled(self, features: int) -> int:
    return round_features(features, width=self.width)

  def _blocks(self) -> dict[str, dict[str, Any]]:
    """Returns {name of the block: its specific attributes}."""
    blocks = {}
    for i, (_, kernel_size, stride, expansion, features) in enumerate(
      self.stages
    ):
      for j in range(self.repeats[i]):
        blocks[f"blocks_{i}_{j}"] = {
          "features": self._scaled(features),
          "kernel_size": kernel_size,
          "stride": stride if j == 0 else 1,
          "expansion": expansion,
        }
    for i, block in enumerate(blocks.values()):
      block["drop_rate"] = self.drop_connect * i / len(blocks)
    return blocks

  def _parts(self, *, train: bool) -> dict[str, Layer | None]:
    """Returns the common parts of all blocks."""
    kernel_init = initializers.create(self.initializer)
    activation = activations.create(self.activation)
    return {
      "conv": functools.partial(
        layers.Conv,
        kernel_size=(1, 1),
        use_bias=False,
        kernel_init=kernel_init,
        dtype=self.dtype,
      ),
      "depthwise": functools.partial(
        _depthwise,
        symmetric=self.padding == "symmetric",
        kernel_init=_of_each_channel(kernel_init),
        dtype=self.dtype,
      ),
      "norm": norms.create(
        self.norm,
        train=train,
        dtype=self.dtype,
        epsilon=self.norm_epsilon,
        momentum=self.norm_momentum,
      ),
      "squeeze_excite": functools.partial(
        _gate,
        reduction=self.squeeze_excite,
        activation=activation,
        kernel_init=kernel_init,
        dtype=self.dtype,
      )
      if self.squeeze_excite
      else None,
      "activation": activation,
    }


def _depthwise(
  kernel_size: int, *, symmetric: bool, **options: Any
) -> layers.DepthwiseConv:
  padding = kernel_size // 2 if symmetric else "SAME"
  return layers.DepthwiseConv(kernel_size, padding=padding, **options)


def _gate(
  channels: int, *, reduction: int, **options: Any
) -> layers.SqueezeExcite:
  return layers.SqueezeExcite(max(1, channels // reduction), **options)


def _of_each_channel(
  initializer: initializers.Initializer,
) -> initializers.Initializer:
  """Draws depthwise kernels (k, k, 1, c) channel by channel.

  The fans are then those of one channel, k * k, as in the authors' code.
  """

  def draw(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
  ) -> jax.Array:
    one = functools.partial(initializer, shape=(*shape[:-1], 1), dtype=dtype)
    return jax.vmap(one, out_axes=-2)(jax.random.split(key, shape[-1]))[..., 0]

  return draw


def _variant(
  width: float,
  depth: float,
  image_size: int,
  dropout: float,
  *,
  parameters: int,
  gmacs: float,
  top1: float,
) -> dict[str, Any]:
  return {
    "module": EfficientNet,
    "options": {"width": width, "depth": depth, "dropout": dropout},
    "spec": {
      "image_size": image_size,
      "mean": (0.485, 0.456, 0.406),
      "std": (0.229, 0.224, 0.225),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": "paper v1, Table 2",
      "paper": "Tan and Le 2019, EfficientNet: Rethinking Model Scaling for "
      "Convolutional Neural Networks, Tables 1 and 2",
    },
  }


def _lite(
  width: float,
  depth: float,
  image_size: int,
  dropout: float,
  *,
  parameters: int,
  gmacs: float,
  top1: float,
) -> dict[str, Any]:
  return {
    "module": EfficientNet,
    "options": {
      "width": width,
      "depth": depth,
      "scaling": "body",
      "dropout": dropout,
      "squeeze_excite": 0,
      "activation": "relu6",
    },
    "spec": {
      "image_size": image_size,
      "mean": (127 / 255,) * 3,
      "std": (128 / 255,) * 3,
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": "lite/README.md of the TPU repository, float32",
      "paper": "TensorFlow's TPU repository 2020, models/official/"
      "efficientnet/lite",
    },
  }


VARIANTS = {
  "efficientnet_b0": _variant(
    1.0, 1.0, 224, 0.2, parameters=5_288_548, gmacs=0.3858, top1=76.3
  ),
  "efficientnet_b1": _variant(
    1.0, 1.1, 240, 0.2, parameters=7_794_184, gmacs=0.6868, top1=78.8
  ),
  "efficientnet_b2": _variant(
    1.1, 1.2, 260, 0.3, parameters=9_109_994, gmacs=0.9936, top1=79.8
  ),
  "efficientnet_b3": _variant(
    1.2, 1.4, 300, 0.3, parameters=12_233_232, gmacs=1.8271, top1=81.1
  ),
  "efficientnet_b4": _variant(
    1.4, 1.8, 380, 0.4, parameters=19_341_616, gmacs=4.3938, top1=82.6
  ),
  "efficientnet_b5": _variant(
    1.6, 2.2, 456, 0.4, parameters=30_389_784, gmacs=10.2664, top1=83.3
  ),
  "efficientnet_b6": _variant(
    1.8, 2.6, 528, 0.5, parameters=43_040_704, gmacs=19.0676, top1=84.0
  ),
  "efficientnet_b7": _variant(
    2.0, 3.1, 600, 0.5, parameters=66_347_960, gmacs=37.7459, top1=84.4
  ),
  "efficientnet_lite0": _lite(
    1.0, 1.0, 224, 0.2, parameters=4_652_008, gmacs=0.3852, top1=75.1
  ),
  "efficientnet_lite1": _lite(
    1.0, 1.1, 240, 0.2, parameters=5_416_680, gmacs=0.6002, top1=76.7
  ),
  "efficientnet_lite2": _lite(
    1.1, 1.2, 260, 0.3, parameters=6_092_072, gmacs=0.8597, top1=77.6
  ),
  "efficientnet_lite3": _lite(
    1.2, 1.4, 280, 0.3, parameters=8_197_096, gmacs=1.3833, top1=79.8
  ),
  "efficientnet_lite4": _lite(
    1.4, 1.8, 300, 0.3, parameters=13_006_568, gmacs=2.5530, top1=81.5
  ),
}
