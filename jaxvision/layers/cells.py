"""Cells of searched networks, from a table of pairwise sums of operations.

The search space of Zoph et al. 2018, Learning Transferable Architectures for
Scalable Image Recognition, section 3, as in the authors' code (TensorFlow
models, slim). A cell reads the outputs of the two previous cells and projects
them to the same width: states 0 and 1. Each sum of two operations on states is
a new state. Some states are concatenated to the output.

Layers have the names of timm, with the dot before the last part as underscore:
`conv_1x1.bn` is `conv_1x1_bn`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvision.layers import activations, pooling

Layer = Callable[..., Any]  # A partially applied Linen module.
Operation = tuple[str, int]  # (operation, state).

# Name of the border mode -> poolings of stride 2 with zeros at the border.
BORDERS = {
  "nothing": (),
  "zeros_in_means": ("avg_3",),
  "zeros": ("avg_3", "max_3"),
}


@dataclasses.dataclass(frozen=True)
class Wiring:
  """The table of a cell.

  Attributes:
    sums: the left and the right operation of each sum: "identity", "max_3",
      "avg_3" (poolings of 3x3), or "separable_K" (with KxK kernels).
    outputs: the states that are concatenated.
    stride: stride of the operations on states 0 and 1.
  """

  sums: tuple[tuple[Operation, Operation], ...]
  outputs: tuple[int, ...]
  stride: int = 1


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

  def project(self, x: jax.Array, *, features: int, name: str) -> jax.Array:
    """Convolves (b, h, w, c) to (b, h, w, features), and normalises."""
    x = self.conv(features, (1, 1), name=f"{name}_conv")(x)
    return self.norm(name=f"{name}_bn")(x)

  def pool(self, x: jax.Array, *, kind: str, stride: int) -> jax.Array:
    """Returns maxima or means of 3x3 windows, with "SAME" padding."""
    pool = {"avg_3": pooling.avg_pool, "max_3": pooling.max_pool}[kind]
    if stride == 1 or kind not in BORDERS[self.border]:
      return pool(x, 3, stride=stride, padding="SAME")
    rows, columns = ((size % 2, 1) for size in x.shape[1:3])
    return pool(jnp.pad(x, ((0, 0), rows, columns, (0, 0))), 3, stride=stride)


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


class Cell(nn.Module):
  """The operations of a table, summed in pairs and concatenated.

  Attributes:
    wiring: the table.
    features: channels of each state.
    shrink_previous: whether the second-last output has twice the resolution of
      the last output.
    parts: the building parts.
  """

  wiring: Wiring
  features: int
  shrink_previous: bool
  parts: Parts

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    previous: jax.Array | None,
    scales: jax.Array | None = None,
    *,
    train: bool = True,
  ) -> jax.Array:
    """Maps (b, h, w, c) to (b, ceil(h/stride), ceil(w/stride), n features).

    Args:
      x: the output of the previous cell.
      previous: the output of the cell before it; without one (None), x itself
        is state 1, unchanged.
      scales: (sums, 2, b) factors of the left and the right operation for each
        example, for drop path; identities are not scaled.
      train: whether to use the scales.
    """
    scales = scales if train else None
    states = [
      self._project(self.parts.activation(x), name="conv_1x1"),
      x if previous is None else self._matched(previous),
    ]
    for i, pair in enumerate(self.wiring.sums):
      results = []
      for side, (operation, state) in enumerate(pair):
        name = f"comb_iter_{i}_{('left', 'right')[side]}"
        y = self._operate(states, operation, state, name=name)
        if scales is not None and operation != "identity":
          y *= scales[i, side].reshape(-1, 1, 1, 1).astype(y.dtype)
        results.append(y)
      states.append(sum(results))
    # Only state 1 can have another width.
    outputs = [
      x if self._fits(x) else self._project(x, name="path")
      for x in (states[i] for i in self.wiring.outputs)
    ]
    return jnp.concatenate(outputs, axis=-1)

  def _operate(
    self,
    states: list[jax.Array],
    operation: str,
    state: int,
    *,
    name: str,
  ) -> jax.Array:
    """Returns the result of an operation on a state, with `features` width."""
    x = states[state]
    stride = self.wiring.stride if state < 2 else 1
    if operation == "identity":
      if self._fits(x):
        return x
      return self._project(self.parts.activation(x), name=name)
    if operation.startswith("separable_"):
      size = int(operation.removeprefix("separable_"))
      return Separable(self.features, size, stride, self.parts, name=name)(x)
    fits = self._fits(x)
    x = self.parts.pool(x, kind=operation, stride=stride)
    return x if fits else self._project(x, name=name)

  def _matched(self, previous: jax.Array) -> jax.Array:
    """Returns the second-last output with the size and width of state 0."""
    if self.shrink_previous:
      return self._shrunk(self.parts.activation(previous))
    if self._fits(previous):
      return previous
    return self._project(self.parts.activation(previous), name="conv_prev_1x1")

  def _shrunk(self, x: jax.Array) -> jax.Array:
    """Halves the resolution: two paths read alternating pixels."""
    half = functools.partial(self.parts.conv, self.features // 2, (1, 1))
    between = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
    paths = [
      half(name="path_1_conv")(x[:, ::2, ::2]),
      half(name="path_2_conv")(between[:, ::2, ::2]),
    ]
    return self.parts.norm(name="final_path_bn")(jnp.concatenate(paths, -1))

  def _fits(self, x: jax.Array) -> bool:
    return x.shape[-1] == self.features

  def _project(self, x: jax.Array, *, name: str) -> jax.Array:
    return self.parts.project(x, features=self.features, name=name)


def drop_scales(
  key: jax.Array, *, rate: float | jax.Array, shape: tuple[int, ...]
) -> jax.Array:
  """Returns the `scales` of all cells, with 0 for dropped operations.

  An operation of cell i of n (from 1) is kept with probability 1 - rate i / n,
  for each example, and divided by this probability. All scales are drawn
  together: compiling one generator per cell would be slow.

  Args:
    key: random key.
    rate: probability to drop an operation of the last cell.
    shape: (cells, sums, 2, b), the shape of the result.
  """
  depth = jnp.arange(1, shape[0] + 1, dtype=jnp.float32) / shape[0]
  keep = 1 - rate * depth.reshape(-1, 1, 1, 1)
  return jnp.where(jax.random.bernoulli(key, keep, shape), 1 / keep, 0.0)
