"""Squeeze-and-excitation: gates of channels from the mean of all channels."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from jaxvision.layers import initializers, linear


class SqueezeExcite(nn.Module):
  """Scales each channel by a gate computed from the mean of all channels.

  Hu et al. 2018, Squeeze-and-Excitation Networks. The 1x1 convolutions
  `conv_reduce` and `conv_expand` have biases.

  Attributes:
    features: channels between the two convolutions.
    activation: activation between them.
    kernel_init: initialiser of both kernels.
    dtype: type of the computation.
  """

  features: int
  activation: Callable[[jax.Array], jax.Array] = nn.relu
  kernel_init: nn.initializers.Initializer = initializers.lecun_normal()
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to the same shape."""
    conv = functools.partial(
      linear.Conv,
      kernel_size=(1, 1),
      kernel_init=self.kernel_init,
      dtype=self.dtype,
    )
    gate = x.mean(axis=(1, 2), keepdims=True)
    gate = self.activation(conv(self.features, name="conv_reduce")(gate))
    gate = conv(x.shape[-1], name="conv_expand")(gate)
    return x * nn.sigmoid(gate)
