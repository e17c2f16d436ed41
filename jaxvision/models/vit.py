"""Vision Transformer: an image as a sequence of patches.

Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, in the layout of its
published files: a class token that is part of the n + 1 learned positions,
pre-norm blocks with epsilon 1e-6, the tanh form of GELU, a classifier that
starts at zero. Parameter names and shapes are those of the files too:
`embedding/kernel` (patch, patch, c, width), `cls` (1, 1, width),
`Transformer/posembed_input/pos_embedding` (1, n + 1, width), and attention
kernels (width, heads, width / heads), with `out` (heads, width / heads, width).
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxvision import activations, layers, spelling

POOLS = ("token", "mean")

# Two passes: Flax's default, the fast variance, cancels where means are large.
_layer_norm = functools.partial(
  nn.LayerNorm, epsilon=1e-6, use_fast_variance=False
)


class PositionEmbedding(nn.Module):
  """Adds one learned vector per position to (b, n, width)."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    width = x.shape[-1]
    positions = self.param(
      "pos_embedding",
      nn.initializers.normal(stddev=width**-0.5),
      (1, *x.shape[1:]),
    )
    return x + positions.astype(x.dtype)


class MlpBlock(nn.Module):
  """Two Dense layers on each token, (b, n, width) to the same shape."""

  mlp_dim: int
  dropout: float
  activation: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    dense = functools.partial(
      nn.Dense,
      kernel_init=nn.initializers.xavier_uniform(),
      bias_init=nn.initializers.normal(stddev=1e-6),
      dtype=self.dtype,
    )
    drop = functools.partial(nn.Dropout, self.dropout, deterministic=not train)
    y = activations.create(self.activation)(dense(self.mlp_dim)(x))
    return drop()(dense(x.shape[-1])(drop()(y)))


class EncoderBlock(nn.Module):
  """Self-attention and an MLP, each on normalised tokens, each added."""

  mlp_dim: int
  num_heads: int
  dropout: float
  activation: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    y = _layer_norm(dtype=self.dtype)(x)
    y = nn.MultiHeadDotProductAttention(
      self.num_heads,
      kernel_init=nn.initializers.xavier_uniform(),
      # Softmax in float32 whatever the dtype of query and key.
      attention_fn=jax.nn.dot_product_attention,
      dtype=self.dtype,
    )(y)
    x = x + nn.Dropout(self.dropout, deterministic=not train)(y)
    y = _layer_norm(dtype=self.dtype)(x)
    y = MlpBlock(
      self.mlp_dim,
      dropout=self.dropout,
      activation=self.activation,
      dtype=self.dtype,
    )(y, train=train)
    return x + y


class Encoder(nn.Module):
  """Positions, then `depth` blocks, then a last normalisation."""

  depth: int
  mlp_dim: int
  num_heads: int
  dropout: float
  activation: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    x = PositionEmbedding(name="posembed_input")(x)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    for i in range(self.depth):
      x = EncoderBlock(
        mlp_dim=self.mlp_dim,
        num_heads=self.num_heads,
        dropout=self.dropout,
        activation=self.activation,
        dtype=self.dtype,
        name=f"encoderblock_{i}",
      )(x, train=train)
    return _layer_norm(dtype=self.dtype, name="encoder_norm")(x)


class ViT(nn.Module):
  """Patches, encoder, pooling, linear classifier `head`.

  Attributes:
    num_classes: length of the logits.
    patch_size: side of the square patches, in pixels.
    width: length of each token.
    depth: number of encoder blocks.
    mlp_dim: width of the hidden layer of each block's MLP.
    num_heads: attention heads of each block; must divide the width.
    dropout: rate after the positions, the attention and each Dense of the MLP,
      in training.
    pool: "token" (a class token goes along, and is classified) or "mean" (no
      class token; the mean of the patches is classified).
    activation: of the MLPs, a name in `jaxvision.activations`.
    dtype: of the computation; parameters and logits are float32.
  """

  num_classes: int
  patch_size: int
  width: int
  depth: int
  mlp_dim: int
  num_heads: int
  dropout: float = 0.0
  pool: str = "token"
  activation: str = "gelu_tanh"
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: if the patches do not tile the image, or the pool is unknown.
    """
    if self.pool not in POOLS:
      raise ValueError(spelling.unknown("pool", self.pool, POOLS))
    x = layers.PatchEmbedding(
      self.patch_size, features=self.width, dtype=self.dtype, name="embedding"
    )(images)
    if self.pool == "token":
      token = self.param("cls", nn.initializers.zeros, (1, 1, self.width))
      token = jnp.broadcast_to(token, (x.shape[0], 1, self.width))
      x = jnp.concatenate([token.astype(x.dtype), x], axis=1)
    x = Encoder(
      depth=self.depth,
      mlp_dim=self.mlp_dim,
      num_heads=self.num_heads,
      dropout=self.dropout,
      activation=self.activation,
      dtype=self.dtype,
      name="Transformer",
    )(x, train=train)
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.zeros,
      dtype=jnp.float32,
      name="head",
    )(x[:, 0] if self.pool == "token" else x.mean(axis=1))


# Name -> width, depth, mlp_dim, num_heads. Table 1 of the paper has B, L and H;
# Ti and S are of Steiner et al. 2022, Table 2; g of Zhai et al. 2022, Table 2.
_SIZES = {
  "ti": (192, 12, 768, 3),
  "s": (384, 12, 1536, 6),
  "b": (768, 12, 3072, 12),
  "l": (1024, 24, 4096, 16),
  "h": (1280, 32, 5120, 16),
  "g": (1408, 40, 6144, 16),
}
_PAPERS = {
  "ti": "Steiner et al. 2022, How to train your ViT?, Table 2",
  "s": "Steiner et al. 2022, How to train your ViT?, Table 2",
  "b": "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, Table 1",
  "l": "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, Table 1",
  "h": "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, Table 1",
  "g": "Zhai et al. 2022, Scaling Vision Transformers, Table 2",
}


def _variant(size: str, *, patch_size: int, parameters: int) -> dict[str, Any]:
  width, depth, mlp_dim, num_heads = _SIZES[size]
  return {
    "module": ViT,
    "options": {
      "patch_size": patch_size,
      "width": width,
      "depth": depth,
      "mlp_dim": mlp_dim,
      "num_heads": num_heads,
    },
    "spec": {
      "image_size": 224,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "paper": _PAPERS[size],
    },
  }


VARIANTS = {
  "vit_ti16": _variant("ti", patch_size=16, parameters=5_717_416),
  "vit_s32": _variant("s", patch_size=32, parameters=22_878_952),
  "vit_s16": _variant("s", patch_size=16, parameters=22_050_664),
  "vit_b32": _variant("b", patch_size=32, parameters=88_224_232),
  "vit_b16": _variant("b", patch_size=16, parameters=86_567_656),
  "vit_b8": _variant("b", patch_size=8, parameters=86_576_872),
  "vit_l32": _variant("l", patch_size=32, parameters=306_535_400),
  "vit_l16": _variant("l", patch_size=16, parameters=304_326_632),
  "vit_h14": _variant("h", patch_size=14, parameters=632_045_800),
  "vit_g14": _variant("g", patch_size=14, parameters=1_012_611_432),
}
