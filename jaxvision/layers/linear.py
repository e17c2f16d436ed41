"""Dense, convolutional and depthwise layers, in forms that are fast in XLA.

Feature maps are (b, h, w, c). Parameters are float32, computation is in
`dtype`.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from jaxvision.layers import depthwise, initializers, matmul

Padding = str | int | Sequence[tuple[int, int]]

# Used as `nn.Dense` and `nn.Conv`.
Dense = functools.partial(nn.Dense, dot_general=matmul.dot_general)
Conv = functools.partial(nn.Conv, conv_general_dilated=matmul.convolve)


class DepthwiseConv(nn.Module):
  """A convolution with one filter per channel, without bias.

  The parameter `kernel` is (k, k, 1, c), as in `nn.Conv` with one group per
  channel.

  Attributes:
    kernel_size: side of the square kernel.
    stride: stride of rows and columns.
    padding: "SAME" (as in TensorFlow, asymmetric if needed), an int for all
      sides, or ((top, bottom), (left, right)).
    kernel_init: initialiser of the kernel; its fan-in is kernel_size squared.
    dtype: type of the computation.
  """

  kernel_size: int
  stride: int = 1
  padding: Padding = "SAME"
  kernel_init: nn.initializers.Initializer = initializers.lecun_normal()
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps (b, h, w, c) to (b, h', w', c)."""
    k, padding = self.kernel_size, self.padding
    kernel = self.param("kernel", self.kernel_init, (k, k, 1, x.shape[-1]))
    x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
    if isinstance(padding, int):
      padding = ((padding, padding), (padding, padding))
    return depthwise.convolve(
      x, kernel, strides=(self.stride, self.stride), padding=padding
    )
