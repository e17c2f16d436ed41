"""Weights: loading of published weight files, and saving in their layouts.

`load` recognises the layout of a file, creates the model with the options that
the layout implies, and fills each parameter, or raises an error with the
missing ones. Modules are imported at their first use: the table of published
files needs no JAX.
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
