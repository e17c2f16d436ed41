"""Interpretation of any model: layers, their outputs, first-layer filters."""

from jaxvision.interpret.filters import first_layer
from jaxvision.interpret.layers import layer_names, tap

__all__ = ["filters", "first_layer", "layer_names", "layers", "tap"]
