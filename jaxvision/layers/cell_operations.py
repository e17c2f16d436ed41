"""Operations of the cells of searched networks.

The 13 operations of Zoph et al. 2018, Learning Transferable Architectures for
Scalable Image Recognition, section 3. Separable convolutions, poolings,
identities and 1x1 convolutions are as in the authors' code of NASNet-A
(TensorFlow models, slim). That code has no other convolutions. They are as in
the authors' code of AmoebaNet, which has the same space (tensorflow/tpu,
models/official/amoeba_net): between two 1x1 convolutions, with 1/4 of the
features, or 3/8 for 1x3 and 3x1. The dilation is 2.

Layers have the names of timm, with the dot before the last part as underscore:
`conv_1x1.bn` is `conv_1x1_bn`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision import lookup
from jaxvision.layers import activations, pooling

Layer = Callable[..., Any]  # A partially applied Linen module.

# Name of the border mode -> poolings of stride 2 with zeros at the border.
BORDERS = {
  "nothing": (),
  "zeros_in_means": ("avg",),
  "zeros": ("avg", "max"),
}
# Name of the operation -> side of its square window.
SEPARABLE = {"sep3x3": 3, "sep5x5": 5, "sep7x7": 7}
POOLINGS = {"avg3x3": 3, "max3x3": 3, "max5x5": 5, "max7x7": 7}
# Name of the operation -> kernel sizes of its convolutions.
CONVOLUTIONS = {
  "conv1x3_3x1": ((1, 3), (3, 1)),
  "conv1x7_7x1": ((1, 7), (7, 1)),
  "conv3x3": ((3, 3),),
  "dil3x3": ((3, 3),),
}
NAMES = ("id", "conv1x1", *SEPARABLE, *POOLINGS, *CONVOLUTIONS)


@dataclasses.dataclass(frozen=True)
class Parts:
  """The building parts of all cells of a network.

  Attributes:
    conv: makes a convolution without bias.
    depthwise: makes a depthwise convolution.
    norm: makes a normalisation.
    activation: applied before convolutions, except after a pooling.
    border: border mode of poolings of stride 2, a key of `BORDERS`.
  """

  conv: Layer
  depthwise: Layer
  norm: Layer
  activation: activations.Activation
  border: str = "nothing"

  def project(
    self, x: jax.Array, *, features: int, name: str, stride: int = 1
  ) -> jax.Array:
    """Convolves (b, h, w, c) with 1x1 kernels, and normalises.

    Returns:
      (b, ceil(h/stride), ceil(w/stride), features).
    """
    x = self.conv(features, (1, 1), strides=stride, name=f"{name}_conv")(x)
    return self.norm(name=f"{name}_bn")(x)

  def pool(self, x: jax.Array, *, kind: str, stride: int) -> jax.Array:
    """Returns maxima or means of windows, with "SAME" padding.

    Args:
      x: (b, h, w, c).
      kind: a key of `POOLINGS`.
      stride: stride of the windows.
    """
    window = POOLINGS[kind]
    pool = {"avg": pooling.avg_pool, "max": pooling.max_pool}[kind[:3]]
    if stride == 1 or kind[:3] not in BORDERS[self.border]:
      return pool(x, window, stride=stride, padding="SAME")
    rows, columns = jax.lax.padtype_to_pads(
      x.shape[1:3], (window, window), (stride, stride), "SAME"
    )
    x = jnp.pad(x, ((0, 0), rows, columns, (0, 0)))
    return pool(x, window, stride=stride)

  def halve(
    self, x: jax.Array, *, features: int, prefix: str = ""
  ) -> jax.Array:
    """Halves the resolution: two paths read alternating pixels.

    Args:
      x: (b, h, w, c).
      features: channels of the result, (b, ceil(h/2), ceil(w/2), features).
      prefix: of the names of the layers.
    """
    between = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
    paths = [
      self.conv(width, (1, 1), name=f"{prefix}path_{i}_conv")(y[:, ::2, ::2])
      for i, width, y in (
        (1, features // 2, x),
        (2, features - features // 2, between),
      )
    ]
    name = f"{prefix}final_path_bn"
    return self.norm(name=name)(jnp.concatenate(paths, -1))


class Separable(nn.Module):
  """Activation, depthwise and 1x1 convolution, normalisation; all twice.

  Attributes:
    features: channels of the output.
    kernel_size: kernel size of both depthwise convolutions.
    stride: stride of the first one.
    parts: the building parts.
  """

  features: int
  kernel_size: int
  stride: int
  parts: Parts

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), features)."""
    parts = self.parts
    for i, stride in ((1, self.stride), (2, 1)):
      x = parts.depthwise(
        self.kernel_size, stride=stride, name=f"separable_{i}_depthwise_conv2d"
      )(parts.activation(x))
      x = parts.conv(
        self.features, (1, 1), name=f"separable_{i}_pointwise_conv2d"
      )(x)
      x = parts.norm(name=f"bn_sep_{i}")(x)
    return x


class Convolution(nn.Module):
  """Convolutions with few features between two 1x1 convolutions.

  Each is preceded by the activation and followed by a normalisation. If few
  features would be none, there are no 1x1 convolutions.

  Attributes:
    features: channels of the output.
    operation: a key of `CONVOLUTIONS`.
    stride: stride of rows and columns.
    parts: the building parts.
  """

  features: int
  operation: str
  stride: int
  parts: Parts

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), features)."""
    eighths = 3 if self.operation == "conv1x3_3x1" else 2
    few = eighths * self.features // 8
    if few:
      x = self._project(x, few, "pre")
    for i, kernel in enumerate(CONVOLUTIONS[self.operation], 1):
      # An axis with one tap takes no stride: the other kernel takes it.
      both = kernel[0] == kernel[1]
      x = self.parts.conv(
        few or self.features,
        kernel,
        strides=tuple(self.stride if both or k > 1 else 1 for k in kernel),
        kernel_dilation=2 if self.operation == "dil3x3" else 1,
        name=f"mid_{i}_conv",
      )(self.parts.activation(x))
      x = self.parts.norm(name=f"mid_{i}_bn")(x)
    return self._project(x, self.features, "post") if few else x

  def _project(self, x: jax.Array, features: int, name: str) -> jax.Array:
    x = self.parts.activation(x)
    return self.parts.project(x, features=features, name=name)


def operate(
  x: jax.Array,
  operation: str,
  *,
  features: int,
  stride: int,
  parts: Parts,
  name: str,
) -> jax.Array:
  """Applies an operation; call it in a compact method of a Linen module.

  Where the shapes differ, an identity and a pooling have a 1x1 convolution.

  Args:
    x: (b, h, w, c).
    operation: one of `NAMES`.
    features: channels of the result, (b, ceil(h/stride), ceil(w/stride),
      features).
    stride: stride of the operation.
    parts: the building parts.
    name: the name of its layers, or the first part of their names.

  Raises:
    ValueError: the operation is unknown; the message has the nearest names.
  """
  project = {"features": features, "name": name}
  fits = x.shape[-1] == features
  if operation in ("id", "conv1x1"):
    if operation == "id" and fits and stride == 1:
      return x
    return parts.project(parts.activation(x), stride=stride, **project)
  if operation in POOLINGS:
    x = parts.pool(x, kind=operation, stride=stride)
    return x if fits else parts.project(x, **project)
  if operation in SEPARABLE:
    size = SEPARABLE[operation]
    return Separable(features, size, stride, parts, name=name)(x)
  if operation in CONVOLUTIONS:
    return Convolution(features, operation, stride, parts, name=name)(x)
  raise ValueError(lookup.unknown("operation", operation, NAMES))
