"""Interpretation of any model: what it looks at, and what its layers hold.

Layers, their outputs and their filters; heat maps of an image for a class;
attention of Transformers; embeddings of patches.
"""

from jaxvision.interpret.attention import (
  attention_maps,
  attention_weights,
)
from jaxvision.interpret.attention_distance import attention_distances
from jaxvision.interpret.attributions import ATTRIBUTIONS, attribute, fitting
from jaxvision.interpret.choice import (
  OF_NO_CLASS,
  PREFERRED_BY_CLASS,
  check_methods,
  default_method,
  method_name,
)
from jaxvision.interpret.embeddings import (
  filter_components,
  position_embeddings,
  position_similarity,
)
from jaxvision.interpret.filters import first_kernel, first_layer
from jaxvision.interpret.heat_maps import overlay, scaled
from jaxvision.interpret.layers import layer_names, tap

__all__ = [
  "ATTRIBUTIONS",
  "OF_NO_CLASS",
  "PREFERRED_BY_CLASS",
  "attention",
  "attention_distance",
  "attention_distances",
  "attention_flow",
  "attention_maps",
  "attention_weights",
  "attribute",
  "attributions",
  "check_methods",
  "choice",
  "class_activation",
  "default_method",
  "embeddings",
  "feature_maps",
  "filter_components",
  "filters",
  "first_kernel",
  "first_layer",
  "fitting",
  "gradients",
  "heat_maps",
  "layer_names",
  "layers",
  "masking",
  "method_name",
  "overlay",
  "pooled_map",
  "position_embeddings",
  "position_similarity",
  "rollout",
  "scaled",
  "scores",
  "tap",
]
