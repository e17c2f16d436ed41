"""The blocks of a Transformer decoder: causal and cross-attention over tokens.

Vaswani et al. 2017, Attention Is All You Need, with the normalisation before
each part. Tokens are (b, n, width), the memory that they attend to is (b, m,
memory_width): the output of an encoder. Keys and values are (b, m, heads,
head_size). They are computed once for a memory, and once for each token that is
generated: `step` appends those of one position to a cache.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import layer_norm, transformer

# Keys and values, (b, m, heads, head_size) each.
KeysAndValues = tuple[jax.Array, jax.Array]


class StoredAttention(nn.Module):
  """Attention of tokens to keys and values that are computed before.

  The weights are sown as "weights" into the collection "attention".

  Attributes:
    width: length of the tokens.
    memory_width: length of the tokens of keys and values.
    num_heads: number of heads; it must divide the width.
    use_bias: whether the four projections have biases.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation; softmax is float32.
  """

  width: int
  memory_width: int
  num_heads: int
  use_bias: bool
  initializer: str
  dtype: DTypeLike

  def setup(self) -> None:
    if self.width % self.num_heads:
      raise ValueError(
        f"width {self.width} is not a multiple of {self.num_heads} heads"
      )
    heads = (self.num_heads, self.width // self.num_heads)
    project = functools.partial(
      transformer.Projection,
      initializer=self.initializer,
      dtype=self.dtype,
      use_bias=self.use_bias,
    )
    self.query = project((self.width,), heads)
    self.key = project((self.memory_width,), heads)
    self.value = project((self.memory_width,), heads)
    self.out = project(heads, (self.width,))

  def store(self, memory: jax.Array) -> KeysAndValues:
    """The keys and values of tokens (b, m, memory_width)."""
    return tuple(transformer.project_tokens(memory, self.key, self.value))

  def __call__(
    self, x: jax.Array, stored: KeysAndValues, *, mask: jax.Array | None = None
  ) -> jax.Array:
    """Maps tokens (b, n, width) to the same shape.

    Args:
      x: tokens of the queries.
      stored: from `store`.
      mask: (b or 1, n, m) bool, True where a query sees a key; None for all.
    """
    keys, values = stored
    (query,) = transformer.project_tokens(x, self.query)
    scores = jnp.einsum("bnhd,bmhd->bhnm", query, keys).astype(jnp.float32)
    scores = scores * query.shape[-1] ** -0.5
    if mask is not None:
      hidden = jnp.finfo(jnp.float32).min
      scores = jnp.where(jnp.expand_dims(mask, 1), scores, hidden)
    weights = jax.nn.softmax(scores, axis=-1)
    self.sow("attention", "weights", weights)
    mixed = jnp.einsum("bhnm,bmhd->bnhd", weights.astype(self.dtype), values)
    mixed = mixed.reshape(*mixed.shape[:2], self.width)
    return transformer.project_tokens(mixed, self.out)[0]


class DecoderBlock(nn.Module):
  """Self-attention, cross-attention and an MLP, each pre-norm and residual.

  Attributes:
    width: length of the tokens.
    memory_width: length of the tokens of the memory.
    mlp_dim: width of the hidden layer of the MLP.
    num_heads: heads of both attentions; it must divide the width.
    dropout: dropout rate after both attentions and in the MLP, in training.
    attention_bias: whether the projections of the attentions have biases.
    use_bias: whether the normalisations and the MLP have biases.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation.
  """

  width: int
  memory_width: int
  mlp_dim: int
  num_heads: int
  dropout: float
  attention_bias: bool
  use_bias: bool
  initializer: str
  dtype: DTypeLike

  def setup(self) -> None:
    norm = functools.partial(
      layer_norm.LayerNorm, use_bias=self.use_bias, dtype=self.dtype
    )
    attention = functools.partial(
      StoredAttention,
      width=self.width,
      num_heads=self.num_heads,
      use_bias=self.attention_bias,
      initializer=self.initializer,
      dtype=self.dtype,
    )
    self.self_norm, self.cross_norm, self.mlp_norm = norm(), norm(), norm()
    self.self_attention = attention(memory_width=self.width)
    self.cross_attention = attention(memory_width=self.memory_width)
    self.mlp = transformer.MlpBlock(
      self.mlp_dim,
      dropout=self.dropout,
      activation="gelu_tanh",
      initializer=self.initializer,
      dtype=self.dtype,
      use_bias=self.use_bias,
    )
    self.drop = nn.Dropout(self.dropout)

  def store(self, memory: jax.Array) -> KeysAndValues:
    """Keys and values of a memory (b, m, memory_width), for all tokens."""
    return self.cross_attention.store(memory)

  def __call__(
    self, x: jax.Array, stored: KeysAndValues, *, mask: jax.Array, train: bool
  ) -> jax.Array:
    """Maps tokens (b, n, width) to the same shape.

    Args:
      x: all tokens of a text.
      stored: from `store`.
      mask: (b or 1, n, n) bool, True where a token sees another.
      train: whether dropout is active.
    """
    y = self.self_norm(x)
    y = self.self_attention(y, self.self_attention.store(y), mask=mask)
    x = x + self.drop(y, deterministic=not train)
    return self._after_self_attention(x, stored, train=train)

  def step(
    self,
    x: jax.Array,
    stored: KeysAndValues,
    cache: KeysAndValues,
    *,
    position: jax.Array,
  ) -> tuple[jax.Array, KeysAndValues]:
    """Maps the tokens of one position of k texts for each memory.

    Args:
      x: (b, k, width), the tokens at `position`.
      stored: from `store`, of b memories.
      cache: of the self-attention, (b * k, length, heads, head_size) each, with
        the tokens before `position`.
      position: () int32.

    Returns:
      (b, k, width), and the cache with the tokens at `position`.
    """
    rows = x.reshape(-1, 1, self.width)
    y = self.self_norm(rows)
    cache = tuple(
      jax.lax.dynamic_update_slice_in_dim(old, new, position, axis=1)
      for old, new in zip(cache, self.self_attention.store(y), strict=True)
    )
    seen = jnp.arange(cache[0].shape[1]) <= position
    rows = rows + self.self_attention(y, cache, mask=seen[None, None])
    x = rows.reshape(x.shape)
    return self._after_self_attention(x, stored, train=False), cache

  def _after_self_attention(
    self, x: jax.Array, stored: KeysAndValues, *, train: bool
  ) -> jax.Array:
    y = self.cross_attention(self.cross_norm(x), stored)
    x = x + self.drop(y, deterministic=not train)
    return x + self.mlp(self.mlp_norm(x), train=train)
