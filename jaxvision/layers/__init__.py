"""Layers that networks of several papers share.

Layers of a single paper are in its file in `models`. Feature maps are (b, h, w,
c), tokens (b, n, c). Parameters are float32, computation is in `dtype`.
"""

from jaxvision.layers import (
  barriers,
  batch_norm,
  cell_network,
  cell_operations,
  cells,
  decoder,
  depthwise,
  group_norm,
  hybrid_stem,
  image_pairs,
  layer_norm,
  matmul,
  norms,
  pooling,
  positions,
  scan_blocks,
  standardized,
  transformer,
)
from jaxvision.layers.drop_path import DropPath
from jaxvision.layers.linear import Conv, Dense, DepthwiseConv, Padding
from jaxvision.layers.patch_embedding import PatchEmbedding
from jaxvision.layers.squeeze_excite import SqueezeExcite

__all__ = [
  "Conv",
  "Dense",
  "DepthwiseConv",
  "DropPath",
  "Padding",
  "PatchEmbedding",
  "SqueezeExcite",
  "activations",
  "barriers",
  "batch_norm",
  "cell_network",
  "cell_operations",
  "cells",
  "decoder",
  "depthwise",
  "group_norm",
  "hybrid_stem",
  "image_pairs",
  "initializers",
  "layer_norm",
  "matmul",
  "norms",
  "pooling",
  "positions",
  "scan_blocks",
  "standardized",
  "transformer",
]
