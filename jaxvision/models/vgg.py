"""VGG: 3x3 convolutions in stages, then three large Dense layers.

Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale
Image Recognition, Table 1, columns A, B, D and E (11, 13, 16 and 19 layers),
with the initialisation of torchvision: variance 2 / fan_out for convolutions,
standard deviation 0.01 for Dense layers. (The paper draws the smallest network
with variance 0.01 and initialises the deeper ones from it.) The `_bn` variants
of torchvision normalise after each convolution, which keeps its bias.

Images of other sizes are pooled to the same 7x7 map, as in torchvision. For
images of 32 pixels `pool_size=1, hidden=()` is the usual network, whose only
Dense layer is the classifier.

Parameter names are torchvision's, with `features.0` written `features_0`. The
map is flattened in the order (row, column, channel), in torchvision in the
order (channel, row, column), so the inputs of `classifier_0/kernel` are
permuted.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import layers
from jaxvision.layers import activations, initializers, norms, pooling
from jaxvision.lookup import ranges


class Vgg(nn.Module):
  """Stages of convolutions and a 2x2 max-pooling, then Dense layers.

  Attributes:
    num_classes: length of the logits.
    blocks: number of convolutions of each stage.
    features: width of the first stage; it doubles in each stage, up to eight
      times.
    pool_size: side of the averaged map before the Dense layers.
    hidden: width of each Dense layer before the classifier.
    norm: normalisation after each convolution: "none", or as for
      `jaxvision.layers.norms`.
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of the convolutions, as for
      `jaxvision.layers.initializers`.
    dense_initializer: initialiser of the Dense layers.
    dropout: dropout rate after each hidden Dense layer, in training.
    dtype: type of the computation; parameters, batch statistics and logits are
      float32.
  """

  num_classes: ranges.Count
  blocks: tuple[ranges.Depth, ...]
  features: ranges.Count = 64
  pool_size: ranges.Count = 7
  hidden: tuple[ranges.Count, ...] = (4096, 4096)
  norm: str = "none"
  activation: str = "relu"
  initializer: str = "he_normal_fan_out"
  dense_initializer: str = "normal(0.01)"
  dropout: ranges.Probability = 0.5
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    With `train` and batch normalisation the collection `batch_stats` must be
    mutable.

    Raises:
      ValueError: the image is too small for the number of stages.
    """
    smallest = 2 ** len(self.blocks)
    if min(images.shape[1:3]) < smallest:
      raise ValueError(
        f"image size {min(images.shape[1:3])} cannot be halved in "
        f"{len(self.blocks)} stages; use at least {smallest}, or fewer blocks"
      )
    x = self._stages(images, train=train)
    x = pooling.adaptive_avg_pool(x, self.pool_size)
    return self._classifier(x.reshape(x.shape[0], -1), train=train)

  def _stages(self, x: jax.Array, *, train: bool) -> jax.Array:
    activation = activations.create(self.activation)
    layer = 0  # torchvision's count includes activations and poolings.
    for i, count in enumerate(self.blocks):
      for _ in range(count):
        x = layers.Conv(
          self.features * min(2**i, 8),
          (3, 3),
          kernel_init=initializers.create(self.initializer),
          dtype=self.dtype,
          name=f"features_{layer}",
        )(x)
        if self.norm != "none":
          layer += 1
          norm = norms.create(self.norm, train=train, dtype=self.dtype)
          x = norm(name=f"features_{layer}")(x)
        x = activation(x)
        layer += 2
      x = pooling.max_pool(x, 2, stride=2)
      layer += 1
    return x

  def _classifier(self, x: jax.Array, *, train: bool) -> jax.Array:
    activation = activations.create(self.activation)
    kernel_init = initializers.create(self.dense_initializer)
    for i, width in enumerate(self.hidden):
      x = nn.Dense(
        width,
        kernel_init=kernel_init,
        dtype=self.dtype,
        name=f"classifier_{3 * i}",
      )(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(activation(x))
    return nn.Dense(
      self.num_classes,
      kernel_init=kernel_init,
      dtype=jnp.float32,
      name=f"classifier_{3 * len(self.hidden)}",
    )(x)


def _variant(
  blocks: tuple[int, ...],
  *,
  column: str,
  parameters: int,
  gmacs: float,
  top1: float,
  norm: str = "none",
) -> dict[str, Any]:
  paper = (
    "Simonyan and Zisserman 2015, Very Deep Convolutional Networks, Table 1, "
    f"{column}"
  )
  if norm == "batch_norm":
    paper += ", with batch normalisation"
  return {
    "module": Vgg,
    "options": {"blocks": blocks, "norm": norm},
    "spec": {
      "image_size": 224,
      "mean": (0.485, 0.456, 0.406),
      "std": (0.229, 0.224, 0.225),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": "torchvision IMAGENET1K_V1",
      "paper": paper,
    },
  }


VARIANTS = {
  "vgg11": _variant(
    (1, 1, 2, 2, 2),
    column="A",
    parameters=132_863_336,
    gmacs=7.609,
    top1=69.02,
  ),
  "vgg13": _variant(
    (2, 2, 2, 2, 2),
    column="B",
    parameters=133_047_848,
    gmacs=11.308,
    top1=69.928,
  ),
  "vgg16": _variant(
    (2, 2, 3, 3, 3),
    column="D",
    parameters=138_357_544,
    gmacs=15.470,
    top1=71.592,
  ),
  "vgg19": _variant(
    (2, 2, 4, 4, 4),
    column="E",
    parameters=143_667_240,
    gmacs=19.632,
    top1=72.376,
  ),
  "vgg11_bn": _variant(
    (1, 1, 2, 2, 2),
    column="A",
    parameters=132_868_840,
    gmacs=7.609,
    top1=70.37,
    norm="batch_norm",
  ),
  "vgg13_bn": _variant(
    (2, 2, 2, 2, 2),
    column="B",
    parameters=133_053_736,
    gmacs=11.308,
    top1=71.586,
    norm="batch_norm",
  ),
  "vgg16_bn": _variant(
    (2, 2, 3, 3, 3),
    column="D",
    parameters=138_365_992,
    gmacs=15.470,
    top1=73.36,
    norm="batch_norm",
  ),
  "vgg19_bn": _variant(
    (2, 2, 4, 4, 4),
    column="E",
    parameters=143_678_248,
    gmacs=19.632,
    top1=74.218,
    norm="batch_norm",
  ),
}
