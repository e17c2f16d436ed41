"""The ResNet before the patches of a hybrid Vision Transformer.

Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, section 3.1: a ResNet
with group normalisation (32 groups, epsilon 1e-6 in the authors' code) and
standardised kernels (epsilon 1e-5). Normalisation and ReLU follow each
convolution, also in the root. Padding is TensorFlow's SAME, which is asymmetric
for stride 2. The last scale of each unit starts at 0.
"""

import functools

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from jaxvision.layers import barriers, norms, pooling, standardized

ROOT_STRIDE = 4


def stride(units: tuple[int, ...]) -> int:
  """Returns the stride of the feature map, in pixels."""
  return ROOT_STRIDE * 2 ** max(0, len(units) - 1)


def embed(
  images: jax.Array, *, units: tuple[int, ...], dtype: DTypeLike
) -> jax.Array:
  """Maps images (b, h, w, c) to (b, h / stride, w / stride, features).

  Call it in a compact method; its module gets the submodules `conv_root`,
  `gn_root`, `block1/unit1` and so on.

  Args:
    images: normalised images.
    units: number of units of each block, with 256, 512, ... features; () for
      the root only, with 64 features and stride 4.
    dtype: type of the computation.
  """
  conv, norm = _layers(dtype)
  x = conv(64, kernel_size=7, stride=2, name="conv_root")(images)
  x = nn.relu(norm(name="gn_root")(x))
  x = pooling.max_pool(x, 3, stride=2, padding="SAME")
  for i, count in enumerate(units):
    x = Block(
      count,
      features=64 * 2**i,
      stride=1 if i == 0 else 2,
      dtype=dtype,
      name=f"block{i + 1}",
    )(x)
  return x


def _layers(dtype: DTypeLike) -> tuple[functools.partial, functools.partial]:
  """Returns functions that make a convolution and a normalisation."""
  conv = functools.partial(
    standardized.StandardizedConv,
    padding="SAME",
    epsilon=1e-5,
    added_to="deviation",
    dtype=dtype,
  )
  norm = norms.create("group_norm", train=False, dtype=dtype, epsilon=1e-6)
  return conv, norm


class Block(nn.Module):
  """The units of one resolution; the first one can halve it.

  Attributes:
    units: number of units.
    features: channels of the 3x3 convolutions; the output has four times more.
    stride: stride of the first unit.
    dtype: type of the computation.
  """

  units: int
  features: int
  stride: int
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), 4 features)."""
    for i in range(self.units):
      x = Unit(
        self.features,
        stride=self.stride if i == 0 else 1,
        dtype=self.dtype,
        name=f"unit{i + 1}",
      )(x)
    return x


class Unit(nn.Module):
  """1x1, strided 3x3, and 1x1 convolution to four times the features.

  Attributes: as in `Block`.
  """

  features: int
  stride: int
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), 4 features)."""
    conv, norm = _layers(self.dtype)
    y = nn.relu(norm(name="gn1")(conv(self.features, name="conv1")(x)))
    y = conv(self.features, kernel_size=3, stride=self.stride, name="conv2")(y)
    y = conv(4 * self.features, name="conv3")(nn.relu(norm(name="gn2")(y)))
    y = norm(name="gn3", scale_init=nn.initializers.zeros)(y)
    if self.stride > 1 or x.shape[-1] != 4 * self.features:
      x = conv(4 * self.features, stride=self.stride, name="conv_proj")(x)
      x = norm(name="gn_proj")(x)
    return nn.relu(barriers.cotangent_barrier(x + y))
