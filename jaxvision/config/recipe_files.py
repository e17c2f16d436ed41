"""Recipes: Python files that make the config of a run."""

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
  """Returns what `get_config` of a recipe returns.

  Args:
    recipe: "path/recipe.py" or "path/recipe.py:argument".
    copies: of code; that of the recipe, if there is one, stands in for it.
    owner: the folder that names the recipe; "" where the user does.

  Raises:
    FileNotFoundError: there is no such recipe.
    ValueError: it has no such function, or takes no argument, or the folder
      names one that this account does not trust.
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
  """The code of a recipe, read but not run; see `call`."""
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
