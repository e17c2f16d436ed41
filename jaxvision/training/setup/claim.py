"""The config and the folder of a run, equal in all processes."""

import importlib.metadata
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax

from jaxvision import config as configs
from jaxvision import user_code
from jaxvision.processes import agreement
from jaxvision.runs import changes
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import initial_state

# Packages whose versions must be equal in all processes.
_ALIKE = ("jax", "jaxlib", "flax", "optax", "numpy")


def load_config(
  recipe: str | None,
  workdir: str | pathlib.Path,
  overrides: Mapping[str, Any] | None,
  copies: Mapping[str, user_code.Bundle] | None,
  extend: str,
) -> configs.ConfigDict:
  """The config of a recipe; without a recipe, that of the run's folder.

  Args:
    recipe, workdir, overrides, copies, extend: as in `training.train`.

  Raises:
    ValueError, OSError: as in `training.train`.
  """
  given = sorted({*changes.EXTENDED} & {*(overrides or {})})
  if recipe is None and extend and given:
    raise ValueError(
      f"--extend gives the times of the run and keeps those of {given[0]}: "
      f"leave --config.{given[0]} out"
    )
  if recipe is None:
    return workdirs.load_config(workdir, overrides)
  if extend:
    raise ValueError(
      f"--extend uses the config of {workdir}; leave --config out"
    )
  copies = {**(copies or {}), **workdirs.read_code(workdir)}
  config = configs.load(recipe, overrides, copies=copies)
  return initial_state.with_implied_options(config)


def overfit(recipe: str | None, workdir: str | pathlib.Path) -> int:
  """The number of overfitting examples of a run resumed without a recipe.

  It is 0 with a recipe.
  """
  return 0 if recipe else workdirs.read_config(workdir)["overfit"]


def check_alike(config: configs.ConfigDict) -> None:
  """Raises ValueError unless versions, code and config are equal everywhere."""
  if jax.process_count() > 1:
    versions = {name: importlib.metadata.version(name) for name in _ALIKE}
    agreement.agree(
      {
        "python": platform.python_version(),
        **versions,
        "code": workdirs.code(),
        "config": workdirs.digest(config.to_dict()),
      }
    )


def claim(workdir: str | pathlib.Path, **origin: Any) -> pathlib.Path:
  """The run's folder, claimed by process 0 and visible to all processes."""
  folder = pathlib.Path(workdir)
  agreement.first(lambda: str(workdirs.claim(folder, **origin)))
  agreement.check_shared(folder)
  return folder
