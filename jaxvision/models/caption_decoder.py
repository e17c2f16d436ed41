"""The decoder of captions: the words of a text, from the tokens of an image.

Tschannen et al. 2023, Image Captioners Are Scalable Vision Learners Too, as in
the authors' code: a pre-norm Transformer decoder with learned positions, whose
first input is 0, the identifier of padding, and whose classifier starts at
zero. The paper has 6 blocks, and no biases except in the classifier.

A text is (n,) int32 identifiers. The target at a position is the identifier
there, and the input is that of the position before. In parallel prediction
(CapPa) every input is the same mask token, and each position sees all others.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision.layers import decoder, initializers, layer_norm, positions
from jaxvision.lookup import ranges

# Keys and values of each block.
Cache = Sequence[decoder.KeysAndValues]


class CaptionDecoder(nn.Module):
  """A distribution over the words at each position of a text.

  Attributes:
    num_words: number of identifiers, with padding, end and unknown word.
    memory_width: length of the tokens of an image.
    length: largest number of words of a text.
    width: length of the tokens of a text.
    depth: number of blocks.
    mlp_dim: width of the hidden layer of each block's MLP.
    num_heads: heads of the attentions; it must divide the width.
    dropout: dropout rate after the attentions and in the MLPs, in training.
    attention_bias: whether the projections of the attentions have biases.
    use_bias: whether the normalisations and the MLPs have biases.
    parallel: whether there is a mask token, for parallel prediction.
    adapt: whether the tokens of an image are normalised and get learned
      positions, for encoders whose output has neither.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation; logits are float32.
  """

  num_words: ranges.Count
  memory_width: ranges.Count
  length: ranges.Count
  width: ranges.Count
  depth: ranges.Depth
  mlp_dim: ranges.Count
  num_heads: ranges.Count
  dropout: ranges.Rate = 0.0
  attention_bias: bool = True
  use_bias: bool = True
  parallel: bool = False
  adapt: bool = False
  initializer: str = "glorot_uniform"
  dtype: DTypeLike = "float32"

  def setup(self) -> None:
    rows = self.num_words + self.parallel
    self.embedding = nn.Embed(
      rows, self.width, embedding_init=initializers.normal(1.0)
    )
    self.positions = self.param(
      "positions",
      initializers.normal(self.width**-0.5),
      (1, self.length, self.width),
    )
    if self.adapt:
      self.memory_norm = layer_norm.LayerNorm(dtype=self.dtype)
      self.memory_positions = positions.LearnedPositions()
    self.blocks = [
      decoder.DecoderBlock(
        width=self.width,
        memory_width=self.memory_width,
        mlp_dim=self.mlp_dim,
        num_heads=self.num_heads,
        dropout=self.dropout,
        attention_bias=self.attention_bias,
        use_bias=self.use_bias,
        initializer=self.initializer,
        dtype=self.dtype,
      )
      for _ in range(self.depth)
    ]
    self.norm = layer_norm.LayerNorm(use_bias=self.use_bias, dtype=self.dtype)
    self.head = nn.Dense(
      self.num_words, kernel_init=nn.initializers.zeros, dtype=jnp.float32
    )

  def __call__(
    self,
    memory: jax.Array,
    targets: jax.Array,
    *,
    train: bool,
    parallel: jax.Array | None = None,
  ) -> jax.Array:
    """The logits of all positions, (b, n, num_words) float32.

    Args:
      memory: (b, m, memory_width), the tokens of the images.
      targets: (b, n) int32; the logits at a position depend on those before it.
      train: whether dropout is active.
      parallel: (b,) bool, which texts are predicted in parallel: their logits
        depend on no target. None for no text.
    """
    n = targets.shape[1]
    inputs = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
    mask = jnp.tril(jnp.ones((1, n, n), bool))
    if parallel is not None:
      inputs = jnp.where(parallel[:, None], self.num_words, inputs)
      mask = mask | parallel[:, None, None]
    x = self._embed(inputs, self.positions[:, :n])
    for block, stored in zip(self.blocks, self.store(memory), strict=True):
      x = block(x, stored, mask=mask, train=train)
    return self.head(self.norm(x))

  def store(self, memory: jax.Array) -> Cache:
    """The keys and values of an image's tokens (b, m, memory_width)."""
    memory = memory.astype(self.dtype)
    if self.adapt:
      memory = self.memory_positions(self.memory_norm(memory))
    return [block.store(memory) for block in self.blocks]

  def empty_cache(self, texts: int) -> Cache:
    """A cache of this number of texts, for `step`."""
    size = self.width // self.num_heads
    shape = (texts, self.length, self.num_heads, size)
    zeros = jnp.zeros(shape, self.dtype)
    return [(zeros, zeros)] * self.depth

  def step(
    self, stored: Cache, cache: Cache, inputs: jax.Array, position: jax.Array
  ) -> tuple[jax.Array, Cache]:
    """The logits of one position of k texts for each image.

    Args:
      stored: from `store`, of b images.
      cache: of the positions before, for b * k texts.
      inputs: (b, k) int32, the words before the position; 0 at the first.
      position: () int32.

    Returns:
      (b, k, num_words) float32, and the cache with this position.
    """
    row = jax.lax.dynamic_slice_in_dim(self.positions, position, 1, axis=1)
    x = self._embed(inputs, row)
    after = []
    for block, of_image, of_text in zip(
      self.blocks, stored, cache, strict=True
    ):
      x, of_text = block.step(x, of_image, of_text, position=position)
      after.append(of_text)
    return self.head(self.norm(x)), after

  def _embed(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
    return (self.embedding(inputs) + rows).astype(self.dtype)
