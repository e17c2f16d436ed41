"""Recipes: Python files that create the config of a run."""

import inspect
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxvision import user_code


def call(
  recipe: str,
  *,
  copies: Mapping[str, user_code.Bundle] | None = None,
  owner: str = "",
) -> Any:
  """Returns the result of `get_config` of a recipe.

  Args:
    recipe: "path/recipe.py" or "path/recipe.py:argument".
    copies: copies of code; a copy of the recipe replaces the original.
    owner: the folder that names the recipe; "" if the user has named it.

  Raises:
    FileNotFoundError: the recipe does not exist.
    ValueError: the recipe has no `get_config`, or accepts no argument, or the
      account does not trust the code that the folder names.
  """
  path, _, argument = recipe.partition(":")
  module = user_code.load_module(bundle(path, copies=copies, owner=owner))
  if not hasattr(module, "get_config"):
    raise ValueError(f"{path} has no function get_config; a recipe needs one")
  if argument and not inspect.signature(module.get_config).parameters:
    raise ValueError(
      f"{path} takes no argument, but got {argument!r}; use --config {path}"
    )
  return module.get_config(*([argument] if argument else []))


def bundle(
  path: str,
  *,
  copies: Mapping[str, user_code.Bundle] | None = None,
  owner: str = "",
) -> user_code.Bundle:
  """Reads the code of a recipe without running it; see `call`."""
  if copies and path in copies:
    return copies[path]
  if not pathlib.Path(path).expanduser().is_file():
    raise FileNotFoundError(
      f"no recipe {path!r} in {pathlib.Path.cwd()}; --config takes a Python "
      "file, as in configs/digits.py or configs/digits.py:linear"
    )
  found = user_code.open_file(path)
  if owner:
    user_code.check(found, owner)
  return found
