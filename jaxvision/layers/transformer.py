"""The encoder of a Vision Transformer: attention and MLPs over tokens.

Vaswani et al. 2017, Attention Is All You Need, with the normalisation before
each part, as in Dosovitskiy et al. 2021. Tokens are (b, n, width). Parameters
are float32, computation is in `dtype`, softmax in float32.

Names and shapes of parameters are those of the published ViT: `query`, `key`
and `value` have kernels (width, heads, head_size), `out` (heads, head_size,
width).
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxvision.layers import (
  activations,
  barriers,
  drop_path,
  initializers,
  linear,
  matmul,
  norms,
  positions,
  scan_blocks,
)


class Projection(nn.Module):
  """A linear map of tokens into heads, or of heads to tokens.

  The product is computed outside, in one product for several maps of the same
  tokens.

  Attributes:
    inputs: axes of the input, (width,) or (heads, head_size).
    outputs: axes of the result, the other of the two.
    initializer: initialiser of the kernel, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation.
    use_bias: whether a bias is added.
  """

  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  initializer: str
  dtype: DTypeLike
  use_bias: bool = True

  def setup(self) -> None:
    self.kernel = self.param("kernel", self._draw)
    if self.use_bias:
      self.bias = self.param("bias", nn.initializers.zeros, self.outputs)

  def _draw(self, key: jax.Array) -> jax.Array:
    """Draws one matrix for all heads, and splits its axes."""
    shape = (math.prod(self.inputs), math.prod(self.outputs))
    matrix = initializers.create(self.initializer)(key, shape)
    return matrix.reshape(*self.inputs, *self.outputs)

  def matrix(self) -> jax.Array:
    """Returns the kernel, (inputs, outputs)."""
    shape = (math.prod(self.inputs), math.prod(self.outputs))
    return self.kernel.reshape(shape).astype(self.dtype)

  def __call__(self, product: jax.Array) -> jax.Array:
    """Splits (b, n, outputs) into the axes of the result, and adds the bias."""
    product = product.reshape(*product.shape[:2], *self.outputs)
    if not self.use_bias:
      return product
    return product + self.bias.astype(self.dtype)[None, None]


class MultiHeadDotProductAttention(nn.Module):
  """Attention: each query gets a mean of values, weighted by matching keys.

  Attributes:
    num_heads: number of heads; it must divide the width of the tokens.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation.
  """

  num_heads: int
  initializer: str
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    probe: jax.Array | None = None,
    angles: np.ndarray | None = None,
  ) -> jax.Array:
    """Maps tokens (b, n, width) to (b, m, width).

    Args:
      x: tokens for keys and values, and for queries without a probe.
      probe: (b, m, width), tokens for queries.
      angles: rotations of queries and keys, see `positions.rotate`; (n,
        head_size / 2); only without a probe.

    Raises:
      ValueError: the heads do not divide the width.
    """
    width = x.shape[-1]
    if width % self.num_heads:
      raise ValueError(
        f"width {width} is not a multiple of {self.num_heads} heads"
      )
    heads = (self.num_heads, width // self.num_heads)
    project = functools.partial(
      Projection, initializer=self.initializer, dtype=self.dtype
    )
    query, key, value = (
      project((width,), heads, name=name) for name in ("query", "key", "value")
    )
    if probe is None:
      query, key, value = project_tokens(x, query, key, value)
    else:
      (query,) = project_tokens(probe, query)
      key, value = project_tokens(x, key, value)
    if angles is not None:
      query, key = (positions.rotate(each, angles) for each in (query, key))
    x = self.attend(query, key, value)
    x = x.reshape(*x.shape[:2], width)
    return project_tokens(x, project(heads, (width,), name="out"))[0]

  def attend(
    self, query: jax.Array, key: jax.Array, value: jax.Array
  ) -> jax.Array:
    """Returns the weighted means of the values, (b, m, heads, head_size).

    It is a method, so that an interceptor can read the weights: see
    `jaxvision.interpret.attention`.

    Args:
      query: (b, m, heads, head_size).
      key: (b, n, heads, head_size).
      value: as `key`.
    """
    if query.dtype != jnp.float16:
      return jax.nn.dot_product_attention(query, key, value)
    return jax.lax.platform_dependent(
      *(query, key, value),
      cuda=jax.nn.dot_product_attention,
      rocm=jax.nn.dot_product_attention,
      default=_attend_in_float32,
    )


def _attend_in_float32(*tokens: jax.Array) -> jax.Array:
  """The attention of float16: jax asks for products that only GPUs have."""
  attended = jax.nn.dot_product_attention(
    *(each.astype(jnp.float32) for each in tokens)
  )
  return attended.astype(jnp.float16)


def project_tokens(x: jax.Array, *maps: Projection) -> list[jax.Array]:
  """Applies several maps to tokens (b, n, width), with one matrix product.

  XLA:CPU multiplies matrices faster than arrays with more axes.
  """
  matrix = jnp.concatenate([each.matrix() for each in maps], axis=1)
  joined = matmul.product(x.astype(matrix.dtype), matrix)
  split = jnp.split(joined, len(maps), axis=2)
  return [each(part) for each, part in zip(maps, split, strict=True)]


class MlpBlock(nn.Module):
  """Two Dense layers on each token, (b, n, width) to the same shape.

  Attributes:
    mlp_dim: width of the hidden layer.
    dropout: dropout rate after each layer, in training.
    activation: a name in `jaxvision.layers.activations`.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation.
    use_bias: whether the Dense layers have biases.
  """

  mlp_dim: int
  dropout: float
  activation: str
  initializer: str
  dtype: DTypeLike
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    dense = functools.partial(
      linear.Dense,
      kernel_init=initializers.create(self.initializer),
      bias_init=initializers.normal(1e-6),
      use_bias=self.use_bias,
      dtype=self.dtype,
    )
    drop = functools.partial(nn.Dropout, self.dropout, deterministic=not train)
    y = dense(self.mlp_dim)(x)
    y = drop()(activations.create(self.activation)(y))
    return drop()(dense(x.shape[-1])(y))


class EncoderBlock(nn.Module):
  """Self-attention and an MLP, both pre-norm and residual.

  Attributes: as in `Encoder`; `drop_path` is the rate of this block.
  """

  mlp_dim: int
  num_heads: int
  dropout: float
  drop_path: float | jax.Array
  activation: str
  norm: str
  initializer: str
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, angles: np.ndarray | None = None
  ) -> jax.Array:
    norm = norms.create(self.norm, train=train, dtype=self.dtype, epsilon=1e-6)
    shared = {"initializer": self.initializer, "dtype": self.dtype}
    y = norm(name="LayerNorm_0")(x)
    y = MultiHeadDotProductAttention(self.num_heads, **shared)(y, angles=angles)
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    x = barriers.cotangent_barrier(
      x + drop_path.DropPath(self.drop_path)(y, train=train)
    )
    y = norm(name="LayerNorm_1")(x)
    y = MlpBlock(
      self.mlp_dim, dropout=self.dropout, activation=self.activation, **shared
    )(y, train=train)
    return barriers.cotangent_barrier(
      x + drop_path.DropPath(self.drop_path)(y, train=train)
    )


class Encoder(nn.Module):
  """Blocks of attention and MLP, then a last normalisation.

  Attributes:
    depth: number of blocks.
    mlp_dim: width of the hidden layer of each block's MLP.
    num_heads: attention heads of each block; must divide the width.
    dropout: dropout rate after the attention and after each Dense layer of the
      MLP, in training.
    drop_path: stochastic-depth rate of the last block, in training; it
      increases linearly from 0 in the first block.
    activation: activation of the MLPs, a name in
      `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    scan_layers: compile one block and scan over all blocks.
    dtype: type of the computation.
  """

  depth: int
  mlp_dim: int
  num_heads: int
  dropout: float
  drop_path: float
  activation: str
  norm: str
  initializer: str
  scan_layers: bool
  dtype: DTypeLike

  def setup(self) -> None:
    self.posembed_input = positions.LearnedPositions()

  def add_positions(self, x: jax.Array) -> jax.Array:
    """Adds learned positions to tokens; in published files they belong here."""
    return self.posembed_input(x)

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, angles: np.ndarray | None = None
  ) -> jax.Array:
    """Maps tokens (b, n, width) to the same shape.

    Args:
      x: tokens.
      train: whether dropout and stochastic depth are active.
      angles: rotations of queries and keys, see `positions.rotate`; (n,
        head_size / 2).

    Raises:
      ValueError: a name is unknown, or the heads do not divide the width.
    """
    blocks = [
      EncoderBlock(
        mlp_dim=self.mlp_dim,
        num_heads=self.num_heads,
        dropout=self.dropout,
        drop_path=self.drop_path * i / max(1, self.depth - 1),
        activation=self.activation,
        norm=self.norm,
        initializer=self.initializer,
        dtype=self.dtype,
        name=f"encoderblock_{i}",
      )
      for i in range(self.depth)
    ]
    scan = self.scan_layers
    x = scan_blocks.apply(blocks, x, scan=scan, train=train, angles=angles)
    norm = norms.create(self.norm, train=train, dtype=self.dtype, epsilon=1e-6)
    return norm(name="encoder_norm")(x)
