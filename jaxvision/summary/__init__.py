"""Summary of a model: layers, parameters, FLOPs and blocks."""

from jaxvision.summary.table import (
  Layer,
  at_depth,
  flops_per_image,
  layer_table,
)

__all__ = [
  "Layer",
  "at_depth",
  "blocks",
  "flops",
  "flops_per_image",
  "layer_table",
]
