"""Weights of others into our models, and ours into their files.

`load` finds out who laid a file out, makes the model with the options that this
implies, and fills every parameter or says what is missing.
"""

from jaxvision.weights.inspection import Inspection, inspect
from jaxvision.weights.loading import implied_options, load, native_size
from jaxvision.weights.preprocessing import ORIGINS, preprocessing
from jaxvision.weights.saving import layouts, save

__all__ = [
  "ORIGINS",
  "Inspection",
  "implied_options",
  "inspect",
  "layouts",
  "load",
  "native_size",
  "preprocessing",
  "save",
]
