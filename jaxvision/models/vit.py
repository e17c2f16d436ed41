"""Vision Transformer: an image as a sequence of patches.

Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, as in its published
files: n + 1 learned positions with one for the class token, pre-norm blocks
with epsilon 1e-6, the tanh form of GELU, a classifier that starts at zero.
Parameter names and shapes are also those of the files:
`embedding/kernel` (patch, patch, c, width), `cls` (1, 1, width),
`Transformer/posembed_input/pos_embedding` (1, n + 1, width), and attention
kernels (width, heads, width / heads), with `out` (heads, width / heads, width).
The hybrids of the paper have a ResNet between the image and the patches.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxvision import layers, lookup
from jaxvision.layers import (
  hybrid_stem,
  initializers,
  norms,
  positions,
  transformer,
)
from jaxvision.lookup import ranges

POOLS = ("token", "mean", "map")


class MAPHead(nn.Module):
  """Attention pooling: one learned query attends to all tokens, then an MLP.

  Zhai et al. 2022, Scaling Vision Transformers, section 3.2. Its name is
  `MAPHead_0`, and inner names are those of the published files.

  Attributes:
    num_heads: number of attention heads.
    mlp_dim: width of the hidden layer of the MLP.
    activation: activation of the MLP, a name in `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`.
    initializer: initialiser of the kernels, a name in
      `jaxvision.layers.initializers`.
    dtype: type of the computation.
  """

  num_heads: int
  mlp_dim: int
  activation: str
  norm: str
  initializer: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps tokens (b, n, width) to (b, width)."""
    width = x.shape[-1]
    shared = {"initializer": self.initializer, "dtype": self.dtype}
    probe = self.param("probe", initializers.glorot_uniform(), (1, 1, width))
    probe = jnp.broadcast_to(probe, (x.shape[0], 1, width))
    x = transformer.MultiHeadDotProductAttention(self.num_heads, **shared)(
      x, probe=probe
    )
    norm = norms.create(self.norm, train=train, dtype=self.dtype, epsilon=1e-6)
    y = transformer.MlpBlock(
      self.mlp_dim, dropout=0.0, activation=self.activation, **shared
    )(norm(name="LayerNorm_0")(x), train=train)
    return (x + y)[:, 0]


class ViT(nn.Module):
  """Patches, encoder, pooling, linear classifier `head`.

  Attributes:
    num_classes: length of the logits.
    patch_size: side of the square patches, in pixels; in a hybrid, in positions
      of the ResNet's feature map.
    width: length of each token.
    depth: number of encoder blocks.
    mlp_dim: width of the hidden layer of each block's MLP.
    num_heads: attention heads of each block; must divide the width.
    stem_units: for a hybrid, the number of units in each block of its ResNet;
      () for the root of the ResNet only; None for no ResNet.
    pool: "token" (classify a class token), or, without a class token, "mean"
      (mean of the patches) or "map" (multi-head attention pooling).
    positions: "learned" (one vector per patch and for the class token),
      "learned_patches" (not for the class token, as in big_vision), "sincos2d",
      "rotary" (in each attention, between patches) or "none".
    registers: number of additional learned tokens without position; they are
      removed after the encoder (Darcet et al. 2024, Vision Transformers Need
      Registers).
    distillation_token: whether a second token follows the class token, with
      its own classifier `head_dist` (Touvron et al. 2020, Training
      data-efficient image transformers). In training, its logits are sown into
      the collection `distillation`, if it is mutable; the task "distillation"
      compares them with the teacher. In evaluation, the logits are the log of
      the mean of the two softmaxes, as in the paper. (The authors' code and
      timm take the mean of the logits.)
    representation_size: width of a Dense layer with tanh, `pre_logits`, before
      the classifier, as in the pre-training of the paper; None for no layer.
    dropout: dropout rate after the positions, the attention and each Dense
      layer of the MLP, in training.
    drop_path: stochastic-depth rate of the last block, in training; it
      increases linearly from 0 in the first block.
    activation: activation of the MLPs, a name in
      `jaxvision.layers.activations`.
    norm: a name in `jaxvision.layers.norms`, with epsilon 1e-6.
    initializer: initialiser of the encoder's kernels, a name in
      `jaxvision.layers.initializers`.
    head_bias: initial biases of the classifier; its kernel starts at 0.
    scan_layers: compile one block and scan over all blocks.
    dtype: type of the computation; parameters and logits are float32.
  """

  num_classes: ranges.Count
  patch_size: ranges.Count
  width: ranges.Count
  depth: ranges.EncoderDepth
  mlp_dim: ranges.Count
  num_heads: ranges.Count
  stem_units: tuple[ranges.Depth, ...] | None = None
  pool: str = "token"
  positions: str = "learned"
  registers: ranges.Whole = 0
  distillation_token: bool = False
  representation_size: ranges.Count | None = None
  dropout: ranges.Probability = 0.0
  drop_path: ranges.Probability = 0.0
  activation: str = "gelu_tanh"
  norm: str = "layer_norm"
  initializer: str = "glorot_uniform"
  head_bias: float = 0.0
  scan_layers: bool = False
  dtype: DTypeLike = "float32"

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Maps (b, h, w, c) normalised images to (b, num_classes) logits.

    Raises:
      ValueError: the image size is not a multiple of the patch size, the
        parameters are for another number of tokens, a name is unknown, or a
        distillation token has no class token.
    """
    self._check()
    shared = {
      "mlp_dim": self.mlp_dim,
      "num_heads": self.num_heads,
      "activation": self.activation,
      "norm": self.norm,
      "initializer": self.initializer,
      "dtype": self.dtype,
    }
    encoder = transformer.Encoder(
      depth=self.depth,
      dropout=self.dropout,
      drop_path=self.drop_path,
      scan_layers=self.scan_layers,
      name="Transformer",
      **shared,
    )
    patches, grid = self._patches(images)
    x = self._with_position_and_class(patches, grid=grid, encoder=encoder)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    x = self._with_registers(x)
    x = encoder(x, train=train, angles=self._angles(grid))
    x = tokens = x[:, : x.shape[1] - self.registers]
    if self.pool == "map":
      x = MAPHead(**shared)(x, train=train)
    else:
      x = x[:, 0] if self.pool == "token" else x.mean(axis=1)
    if self.representation_size is not None:
      size = self.representation_size
      init = initializers.lecun_normal()
      dense = nn.Dense(
        size, kernel_init=init, dtype=self.dtype, name="pre_logits"
      )
      x = jnp.tanh(dense(x))
    logits = self._classifier("head")(x)
    if not self.distillation_token:
      return logits
    taught = self._classifier("head_dist")(tokens[:, 1])
    if train:
      self.sow("distillation", "logits", taught)
      return logits
    both = jax.nn.log_softmax(jnp.stack([logits, taught]))
    return jax.nn.logsumexp(both, axis=0) - jnp.log(2)

  def _classifier(self, name: str) -> nn.Dense:
    return nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.zeros,
      bias_init=nn.initializers.constant(self.head_bias),
      dtype=jnp.float32,
      name=name,
    )

  def _check(self) -> None:
    if self.distillation_token and (
      self.pool != "token" or self.representation_size is not None
    ):
      raise ValueError(
        "distillation_token needs a class token and no layer before the "
        f"classifier, but pool is {self.pool!r} and representation_size is "
        f"{self.representation_size}; use pool='token' and None"
      )
    for kind, name, known in (
      ("pool", self.pool, POOLS),
      ("positions", self.positions, positions.KINDS),
    ):
      if name not in known:
        raise ValueError(lookup.unknown(kind, name, known))

  @property
  def stride(self) -> int:
    """The distance between neighbouring tokens, in pixels."""
    if self.stem_units is None:
      return self.patch_size
    return self.patch_size * hybrid_stem.stride(self.stem_units)

  def _patches(self, images: jax.Array) -> tuple[jax.Array, tuple[int, int]]:
    """Returns tokens (b, rows * columns, width), and (rows, columns)."""
    if self.stem_units is not None:
      images = self._map(images, units=self.stem_units)
    _, h, w, _ = images.shape
    embedding = layers.PatchEmbedding(
      self.patch_size, features=self.width, dtype=self.dtype, name="embedding"
    )
    return embedding(images), (h // self.patch_size, w // self.patch_size)

  def _map(self, images: jax.Array, *, units: tuple[int, ...]) -> jax.Array:
    """Returns the feature map of a hybrid's ResNet."""
    features = hybrid_stem.embed(images, units=units, dtype=self.dtype)
    if any(side % self.patch_size for side in features.shape[1:3]):
      h, w = images.shape[1:3]
      raise ValueError(
        f"the ResNet's feature map of an image of {h}x{w} is not a multiple of "
        f"the patch size; use image sizes that are multiples of {self.stride}"
      )
    return features

  def _with_position_and_class(
    self,
    x: jax.Array,
    *,
    grid: tuple[int, int],
    encoder: transformer.Encoder,
  ) -> jax.Array:
    """Adds positions to the patches, and prepends the class tokens."""
    if self.positions == "learned_patches":
      x = encoder.add_positions(x)
    if self.positions == "sincos2d":
      table = positions.sincos2d(grid, width=self.width)
      x = x + jnp.asarray(table, x.dtype)[None]
    for name in reversed(self._class_tokens()):
      token = self.param(name, nn.initializers.zeros, (1, 1, self.width))
      token = jnp.broadcast_to(token, (x.shape[0], 1, self.width))
      x = jnp.concatenate([token.astype(x.dtype), x], axis=1)
    return encoder.add_positions(x) if self.positions == "learned" else x

  def _class_tokens(self) -> tuple[str, ...]:
    """The tokens before the patches, by the names of their parameters."""
    names = ("cls",) if self.pool == "token" else ()
    return (*names, "dist") if self.distillation_token else names

  def _with_registers(self, x: jax.Array) -> jax.Array:
    """Appends the registers to the tokens."""
    if not self.registers:
      return x
    shape = (1, self.registers, self.width)
    # Random, because registers with equal initial values would stay equal.
    tokens = self.param("registers", initializers.normal(0.02), shape)
    tokens = jnp.broadcast_to(tokens, (x.shape[0], *shape[1:]))
    return jnp.concatenate([x, tokens.astype(x.dtype)], axis=1)

  def _angles(self, grid: tuple[int, int]) -> np.ndarray | None:
    """Returns the rotation of each token; 0 for tokens without a position."""
    if self.positions != "rotary":
      return None
    angles = positions.rotary(grid, head_size=self.width // self.num_heads)
    before = len(self._class_tokens())
    return np.pad(angles, ((before, self.registers), (0, 0)))


# Name -> width, depth, mlp_dim, num_heads.
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
# Both pre-trained on ImageNet-21k and fine-tuned at 384 pixels.
_PAPER = "paper, Table 5, ImageNet-21k, at 384 pixels"
_AUGREG = "authors' code, AugReg, ImageNet-21k, at 384 pixels"
# Name -> size, patch_size, stem_units, parameters, GMACs, top-1 and its source.
_ROWS = {
  "vit_ti16": ("ti", 16, None, 5_717_416, 1.2537, 78.22, _AUGREG),
  "vit_s32": ("s", 32, None, 22_878_952, 1.1429, 79.58, _AUGREG),
  "vit_s16": ("s", 16, None, 22_050_664, 4.5989, 83.73, _AUGREG),
  "vit_b32": ("b", 32, None, 88_224_232, 4.4092, 83.59, _AUGREG),
  "vit_b16": ("b", 16, None, 86_567_656, 17.5638, 85.49, _AUGREG),
  "vit_b8": ("b", 8, None, 86_576_872, 78.1483, None, ""),
  "vit_l32": ("l", 32, None, 306_535_400, 15.3775, 80.99, _PAPER),
  "vit_l16": ("l", 16, None, 304_326_632, 61.5547, 85.59, _AUGREG),
  "vit_h14": ("h", 14, None, 632_045_800, 167.2951, 85.13, _PAPER),
  "vit_g14": ("g", 14, None, 1_012_611_432, 267.0315, None, ""),
  "vit_r_ti16": ("ti", 8, (), 6_337_704, 0.4337, 75.40, _AUGREG),
  "vit_r26_s32": ("s", 1, (2, 2, 2, 2), 36_431_912, 3.4639, 83.85, _AUGREG),
  "vit_r50_b16": ("b", 1, (3, 4, 9), 98_659_112, 21.5354, None, ""),
  "vit_r50_l32": ("l", 1, (3, 4, 6, 3), 328_994_856, 19.4133, 85.99, _AUGREG),
}


def _variant(
  size: str,
  patch_size: int,
  stem_units: tuple[int, ...] | None,
  parameters: int,
  gmacs: float,
  top1: float | None,
  top1_source: str,
) -> dict[str, Any]:
  width, depth, mlp_dim, num_heads = _SIZES[size]
  return {
    "module": ViT,
    "options": {
      "patch_size": patch_size,
      "width": width,
      "depth": depth,
      "mlp_dim": mlp_dim,
      "num_heads": num_heads,
      "stem_units": stem_units,
    },
    "spec": {
      "image_size": 224,
      "mean": (0.5, 0.5, 0.5),
      "std": (0.5, 0.5, 0.5),
      "crop_fraction": 0.875,
      "parameters": parameters,
      "gmacs": gmacs,
      "top1": top1,
      "top1_source": top1_source,
      "paper": _PAPERS[size],
    },
  }


VARIANTS = {name: _variant(*row) for name, row in _ROWS.items()}
