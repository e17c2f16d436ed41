"""Big Transfer (BiT): a wide pre-activation ResNet without batch statistics.

Kolesnikov et al. 2020, Big Transfer (BiT): General Visual Representation
Learning, section 2 and appendix A: ResNet-v2 with group normalisation (32
groups, epsilon 1e-5) and weight standardisation (epsilon 1e-10 in the root)
instead of batch normalisation. As in the released networks, the root has no
normalisation and no ReLU, and its max-pooling has a border of zeros, which are
larger than negative values.

Parameter names are those of files in the layout of big_vision:
`root_block/conv_root`, `block1/unit01/{gn1,conv1,...,conv_proj}`,
`norm-pre-head`, `head`.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import lookup
from jaxvision.layers import (
  activations,
  barriers,
  initializers,
  norms,
  pooling,
  scan_blocks,
  standardized,
)
from jaxvision.lookup import ranges

STEMS = ("imagenet", "small")


class Unit(nn.Module):
  """Pre-activation bottleneck: norm, ReLU and convolution, three times.

  Attributes:
    features: channels of the 3x3 convolution; the output has four times more.
    stride: stride of the 3x3 convolution and of the projection.
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    epsilon: epsilon of the weight standardisation.
    dtype: type of the computation.
  """

  features: int
  stride: int
  activation: str
  norm: str
  initializer: str
  epsilon: float
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), 4 features)."""
    conv = functools.partial(
      standardized.StandardizedConv,
      kernel_init=initializers.create(self.initializer),
      epsilon=self.epsilon,
      dtype=self.dtype,
    )
    norm = norms.create(self.norm, train=train, dtype=self.dtype)
    act = activations.create(self.activation)
    features = 4 * self.features
    y = act(norm(name="gn1")(x))
    if self.stride > 1 or x.shape[-1] != features:
      x = conv(features, stride=self.stride, name="conv_proj")(y)
    y = conv(self.features, name="conv1")(y)
    y = act(norm(name="gn2")(y))
    y = conv(self.features, 3, self.stride, padding=1, name="conv2")(y)
    y = act(norm(name="gn3")(y))
    return barriers.cotangent_barrier(x + conv(features, name="conv3")(y))


class Block(nn.Module):
  """The units of one resolution; the first one can halve it.

  Attributes: as in `Unit`, and
    units: number of units.
    scan: whether to scan over all units except the first.
  """

  units: int
  features: int
  stride: int
  activation: str
  norm: str
  initializer: str
  epsilon: float
  dtype: DTypeLike
  scan: bool

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), 4 features)."""
    unit = functools.partial(
      Unit,
      features=self.features,
      activation=self.activation,
      norm=self.norm,
      initializer=self.initializer,
      epsilon=self.epsilon,
      dtype=self.dtype,
    )
    x = unit(stride=self.stride, name="unit01")(x, train=train)
    equal = [
      unit(stride=1, name=f"unit{i:02d}") for i in range(2, self.units + 1)
    ]
    return scan_blocks.apply(equal, x, scan=self.scan, train=train)


class Root(nn.Module):
  """The first convolution, and the pooling after it.

  Attributes:
    features: channels of the output.
    stem: "imagenet" or "small".
    initializer: initialiser of the kernel.
    epsilon: epsilon of the weight standardisation.
    dtype: type of the computation.
  """

  features: int
  stem: str
  initializer: str
  epsilon: float
  dtype: DTypeLike

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h/4, w/4, features), or (b, h, w, features).

    Raises:
      ValueError: the stem is unknown.
    """
    if self.stem not in STEMS:
      raise ValueError(lookup.unknown("stem", self.stem, STEMS))
    conv = functools.partial(
      standardized.StandardizedConv,
      self.features,
      kernel_init=initializers.create(self.initializer),
      epsilon=self.epsilon,
      dtype=self.dtype,
      name="conv_root",
    )
    if self.stem == "small":
      return conv(kernel_size=3, padding=1)(images)
    x = conv(kernel_size=7, stride=2, padding=3)(images)
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return pooling.max_pool(x, 3, stride=2)


class BiT(nn.Module):
  """Root, four blocks of units, normalisation, mean over space, classifier.

  Attributes:
    num_classes: length of the logits.
    units: number of units of each block.
    width: factor of all widths; the first width is 64.
    stem: "imagenet" (7x7 convolution of stride 2, 3x3 max-pooling of stride 2)
      or "small" (3x3 convolution of stride 1; for images of up to 64 pixels).
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of the convolutions, a name in
      `jaxvision.layers.initializers`.
    head_bias: initial biases of the classifier; its kernel starts at 0. For a
      sigmoid loss over many classes use a negative value, such as -10, because
      an image has few of the classes.
    standardization_epsilon: epsilon of the weight standardisation; 1e-8 in timm
      and Hugging Face.
    scan_layers: compile equal units once and scan over them.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  units: tuple[ranges.Depth, ...]
  width: ranges.Count = 1
  stem: str = "imagenet"
  activation: str = "relu"
  norm: str = "group_norm"
  initializer: str = "lecun_normal"
  head_bias: float = 0.0
  standardization_epsilon: ranges.NonNegative = 1e-10
  scan_layers: bool = False
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: a stem, activation, norm or initializer is unknown.
    """
    shared = {
      "initializer": self.initializer,
      "epsilon": self.standardization_epsilon,
      "dtype": self.dtype,
    }
    features = 64 * self.width
    x = Root(features, stem=self.stem, name="root_block", **shared)(images)
    for i, units in enumerate(self.units):
      x = Block(
        units,
        features=features * 2**i,
        stride=1 if i == 0 else 2,
        activation=self.activation,
        norm=self.norm,
        scan=self.scan_layers,
        name=f"block{i + 1}",
        **shared,
      )(x, train=train)
    norm = norms.create(self.norm, train=train, dtype=self.dtype)
    x = activations.create(self.activation)(norm(name="norm-pre-head")(x))
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.zeros,
      bias_init=nn.initializers.constant(self.head_bias),
      dtype=jnp.float32,
      name="head",
    )(x.mean(axis=(1, 2)))


_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _variant(
  depth: int,
  *,
  width: int,
  parameters: int,
  gmacs: float,
  top1: float | None = None,
  top1_source: str = "",
) -> dict[str, Any]:
  return {
    "module": BiT,
    "options": {"units": _UNITS[depth], "width": width},
    "spec": {
      "image_size": 224,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": top1_source,
      "paper": "Kolesnikov et al. 2020, Big Transfer (BiT), section 2",
    },
  }


_REPRODUCED = "authors' code, BiT-M fine-tuned on ILSVRC-2012"
VARIANTS = {
  "bit_r50x1": _variant(
    50,
    width=1,
    parameters=25_549_352,
    gmacs=4.089,
    top1=80.68,
    top1_source=_REPRODUCED,
  ),
  "bit_r50x3": _variant(50, width=3, parameters=217_319_080, gmacs=36.082),
  "bit_r101x1": _variant(101, width=1, parameters=44_541_480, gmacs=7.801),
  "bit_r101x3": _variant(101, width=3, parameters=387_934_888, gmacs=69.492),
  "bit_r152x2": _variant(
    152,
    width=2,
    parameters=236_335_208,
    gmacs=45.814,
    top1=85.15,
    top1_source=_REPRODUCED,
  ),
  "bit_r152x4": _variant(
    152,
    width=4,
    parameters=936_533_224,
    gmacs=182.777,
    top1=85.39,
    top1_source="paper, Table 2 (BiT-M)",
  ),
}
