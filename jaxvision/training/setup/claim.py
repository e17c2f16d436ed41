"""Which run a training is: its config and folder, alike in all processes."""

import importlib.metadata
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax

from jaxvision import config as configs
from jaxvision import user_code
from jaxvision.processes import agreement
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import initial_state

# What must be the same in all processes, beside the code and the config.
_ALIKE = ("jax", "jaxlib", "flax", "optax", "numpy")


def load_config(
  recipe: str | None,
  workdir: str | pathlib.Path,
  overrides: Mapping[str, Any] | None,
  copies: Mapping[str, user_code.Bundle] | None,
  extend: str,
) -> configs.ConfigDict:
  """The config that a recipe, or else the run's folder, says.

  Args:
    recipe, workdir, overrides, copies, extend: of `training.train`.

  Raises:
    ValueError, OSError: as `training.train`.
  """
  if recipe is None:
    return workdirs.load_config(workdir, overrides)
  if extend:
    raise ValueError(
      f"--extend goes on with the config of {workdir}; leave --config out"
    )
  copies = {**(copies or {}), **workdirs.read_code(workdir)}
  config = configs.load(recipe, overrides, copies=copies)
  return initial_state.with_implied_options(config)


def overfit(recipe: str | None, workdir: str | pathlib.Path) -> int:
  """How many examples a run goes on to overfit if no recipe is given."""
  return 0 if recipe else workdirs.read_config(workdir)["overfit"]


def check_alike(config: configs.ConfigDict) -> None:
  """Raises a ValueError unless all processes would compute the same."""
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
  """The run's folder, claimed by process 0 and seen by all."""
  folder = pathlib.Path(workdir)
  agreement.first(lambda: str(workdirs.claim(folder, **origin)))
  agreement.check_shared(folder)
  return folder
