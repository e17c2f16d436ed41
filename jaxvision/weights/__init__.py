"""Weights of others into our models, and ours into their files.

`load` finds out who laid a file out, makes the model with the options that this
implies, and fills every parameter or says what is missing. Each part is
imported when it is first used: the tables of published files need no JAX.
"""

import importlib
from typing import Any

_DEFINED_IN = {
  "ORIGINS": "implied_preprocessing",
  "Inspection": "inspection",
  "implied_options": "loading",
  "inspect": "inspection",
  "layouts": "saving",
  "load": "loading",
  "native_size": "loading",
  "preprocessing": "implied_preprocessing",
  "save": "saving",
}

__all__ = [
  "ORIGINS",
  "Inspection",
  "class_names",
  "image_preprocessing",
  "implied_options",
  "inspect",
  "layouts",
  "load",
  "native_size",
  "preprocessing",
  "published",
  "save",
]


def __getattr__(name: str) -> Any:
  if module := _DEFINED_IN.get(name):
    return getattr(importlib.import_module(f"jaxvision.weights.{module}"), name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
