"""The config of a run: a recipe in Python, overrides, and the table of keys."""

from jaxvision.config.loading import (
  ConfigDict,
  as_trained,
  complete,
  flatten,
  load,
  restore,
)

__all__ = [
  "ConfigDict",
  "as_trained",
  "complete",
  "durations",
  "flatten",
  "load",
  "recipe_files",
  "restore",
]
