"""The config of a run: a recipe in Python, overrides, and the table of keys."""

from jaxvision.config.loading import (
  ConfigDict,
  as_trained,
  complete,
  flatten,
  load,
  restore,
)
from jaxvision.config.recipe_texts import write_recipe

__all__ = [
  "ConfigDict",
  "as_trained",
  "complete",
  "durations",
  "flatten",
  "keys",
  "load",
  "recipe_files",
  "restore",
  "write_recipe",
]
