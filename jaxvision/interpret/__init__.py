"""A look inside any model: its layers, their outputs, its first filters."""

from jaxvision.interpret.filters import first_layer
from jaxvision.interpret.layers import layer_names, tap

__all__ = ["filters", "first_layer", "layer_names", "layers", "tap"]
