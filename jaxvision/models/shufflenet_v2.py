"""ShuffleNet v2: each unit transforms half of the channels, then shuffles.

Ma et al. 2018, ShuffleNet V2: Practical Guidelines for Efficient CNN
Architecture Design, Table 5. Two networks have this name. The network of the
authors' code has the complexity of Table 5: in a unit of stride 2, the
projected branch keeps the number of input channels; units of stride 1 split
even and odd channels; the classifier has no bias. In torchvision's network both
branches have equal width, units split into halves and shuffle at their end, and
the classifier has a bias. The initialisation is that of the authors. Images are
normalised as for torchvision's weights; the authors use BGR in [0, 255].

Parameter names are torchvision's in both layouts, with `stage2.0.branch1.0`
written `stage2_0/branch1_0`. The numbers count the layers of a branch with
ReLUs: depthwise convolutions are `branch1_0` and `branch2_3`.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers, lookup
from jaxvision.layers import activations, initializers, norms, pooling
from jaxvision.lookup import ranges

Layer = Callable[..., Any]  # A partially applied Linen module.

STEM_FEATURES = 24
STEMS = ("imagenet", "small")
LAYOUTS = ("paper", "torchvision")


def split_even_odd(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns channels 0, 2, 4, ... and 1, 3, 5, ... of (..., c)."""
  return x[..., ::2], x[..., 1::2]


def interleave(x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns (..., 2 c) with channels x0, y0, x1, y1, ... of two (..., c)."""
  return jnp.stack([x, y], axis=-1).reshape(*x.shape[:-1], -1)


class Unit(nn.Module):
  """A transformed branch, and an identity (stride 1) or projected branch.

  Attributes:
    features: channels of the output.
    stride: 1, or 2 for a unit with a projected branch.
    layout: "paper" or "torchvision".
    conv: makes a 1x1 convolution without bias.
    depthwise: makes a depthwise 3x3 convolution.
    norm: makes a normalisation.
    activation: after normalisations, except those of depthwise convolutions.
  """

  features: int
  stride: int
  layout: str
  conv: Layer
  depthwise: Layer
  norm: Layer
  activation: activations.Activation

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), features)."""
    paper, half = self.layout == "paper", self.features // 2
    if self.stride > 1:
      kept = self._project(x, x.shape[-1] if paper else half)
    elif paper:
      kept, x = split_even_odd(x)
    else:
      kept, x = x[..., :half], x[..., half:]
    y = self._transform(x, self.features - kept.shape[-1])
    if paper:
      return jnp.concatenate([kept, y], axis=-1)
    return interleave(kept, y)

  def _project(self, x: jax.Array, features: int) -> jax.Array:
    x = self.depthwise(stride=self.stride, name="branch1_0")(x)
    x = self.norm(name="branch1_1")(x)
    x = self.conv(features, name="branch1_2")(x)
    return self.activation(self.norm(name="branch1_3")(x))

  def _transform(self, x: jax.Array, features: int) -> jax.Array:
    x = self.conv(self.features // 2, name="branch2_0")(x)
    x = self.activation(self.norm(name="branch2_1")(x))
    x = self.depthwise(stride=self.stride, name="branch2_3")(x)
    x = self.norm(name="branch2_4")(x)
    x = self.conv(features, name="branch2_5")(x)
    return self.activation(self.norm(name="branch2_6")(x))


class ShuffleNetV2(nn.Module):
  """Stem, stages of units, 1x1 convolution, mean over space, classifier `fc`.

  Each stage starts with a unit of stride 2.

  Attributes:
    num_classes: length of the logits.
    features: channels of each stage; even and increasing.
    head_features: channels of the last convolution.
    repeats: number of units of each stage.
    dropout: dropout rate before the classifier, in training.
    layout: "paper" or "torchvision".
    stem: "imagenet" (3x3 convolution of stride 2, 3x3 max-pooling of stride 2)
      or "small" (3x3 convolution of stride 1; for images of up to 64 pixels).
    activation: a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of all convolutions except the first, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation; parameters, batch statistics and logits are
      float32.
  """

  num_classes: ranges.Count
  features: tuple[ranges.Count, ...]
  head_features: ranges.Count = 1024
  repeats: tuple[ranges.Depth, ...] = (4, 8, 4)
  dropout: ranges.Probability = 0.0
  layout: str = "paper"
  stem: str = "imagenet"
  activation: str = "relu"
  norm: str = "batch_norm"
  initializer: str = "normal_of_inputs"
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train`, statistics are of the batch over all devices, and the
    collection `batch_stats` must be mutable; with `dropout`, the random stream
    "dropout" is used.

    Raises:
      ValueError: a name is unknown, or the features of a stage are odd or do
        not increase.
    """
    self._check()
    parts = self._parts(train=train)
    conv, norm, activation = parts["conv"], parts["norm"], parts["activation"]
    x = self._stem(images, conv=conv, norm=norm, activation=activation)
    for i, (features, repeats) in enumerate(
      zip(self.features, self.repeats, strict=True)
    ):
      for j in range(repeats):
        x = Unit(
          features=features,
          stride=2 if j == 0 else 1,
          layout=self.layout,
          name=f"stage{i + 2}_{j}",
          **parts,
        )(x)
    x = conv(self.head_features, name="conv5_0")(x)
    x = activation(norm(name="conv5_1")(x)).mean(axis=(1, 2))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(
      self.num_classes,
      use_bias=self.layout == "torchvision",
      kernel_init=initializers.create("normal(0.01)"),
      dtype=jnp.float32,
      name="fc",
    )(x)

  def _check(self) -> None:
    if self.layout not in LAYOUTS:
      raise ValueError(lookup.unknown("layout", self.layout, LAYOUTS))
    if self.stem not in STEMS:
      raise ValueError(lookup.unknown("stem", self.stem, STEMS))
    if len(self.features) != len(self.repeats):
      raise ValueError(
        f"features {self.features} has {len(self.features)} stages, but "
        f"repeats {self.repeats} has {len(self.repeats)}; give the same number "
        "of stages"
      )
    for old, new in itertools.pairwise((STEM_FEATURES, *self.features)):
      if new <= old or new % 2:
        raise ValueError(
          f"a stage of {new} features cannot follow {old} features; use an "
          f"even number above {old}"
        )

  def _parts(self, *, train: bool) -> dict[str, Layer]:
    """Returns the common parts of all units."""
    kernel_init = initializers.create(self.initializer)
    norm = norms.create(self.norm, train=train, dtype=self.dtype)
    return {
      "conv": functools.partial(
        layers.Conv,
        kernel_size=(1, 1),
        use_bias=False,
        kernel_init=kernel_init,
        dtype=self.dtype,
      ),
      "depthwise": functools.partial(
        layers.DepthwiseConv,
        3,
        padding=1,
        kernel_init=kernel_init,
        dtype=self.dtype,
      ),
      "norm": functools.partial(norm, bias_init=nn.initializers.constant(1e-4)),
      "activation": activations.create(self.activation),
    }

  def _stem(
    self, images: jax.Array, *, conv: Layer, norm: Layer, activation: Layer
  ) -> jax.Array:
    x = conv(
      STEM_FEATURES,
      kernel_size=(3, 3),
      strides=2 if self.stem == "imagenet" else 1,
      padding=1,
      kernel_init=initializers.create("normal(0.01)"),
      name="conv1_0",
    )(images)
    x = activation(norm(name="conv1_1")(x))
    if self.stem == "small":
      return x
    return pooling.max_pool(x, 3, stride=2, padding=((1, 1), (1, 1)))


def _variant(
  *,
  features: tuple[int, ...],
  parameters: int,
  gmacs: float,
  top1: float,
  **options: Any,
) -> dict[str, Any]:
  return {
    "module": ShuffleNetV2,
    "options": {"features": features, **options},
    "spec": {
      "image_size": 224,
      "mean": (0.485, 0.456, 0.406),
      "std": (0.229, 0.224, 0.225),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": "paper, Table 8",
      "paper": "Ma et al. 2018, ShuffleNet V2: Practical Guidelines for "
      "Efficient CNN Architecture Design, Table 5",
    },
  }


VARIANTS = {
  "shufflenet_v2_x0_5": _variant(
    features=(48, 96, 192), parameters=1_365_792, gmacs=0.0405, top1=60.3
  ),
  "shufflenet_v2_x1_0": _variant(
    features=(116, 232, 464), parameters=2_278_760, gmacs=0.1458, top1=69.4
  ),
  "shufflenet_v2_x1_5": _variant(
    features=(176, 352, 704), parameters=3_506_720, gmacs=0.2990, top1=72.6
  ),
  "shufflenet_v2_x2_0": _variant(
    features=(244, 488, 976),
    head_features=2048,
    dropout=0.2,
    parameters=7_402_600,
    gmacs=0.5908,
    top1=74.9,
  ),
}
