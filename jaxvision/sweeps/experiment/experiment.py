"""Experiment files: Python files that define a sweep. An example:

QUESTION = "Which learning rate?"
BASE = "configs/digits.py:mlp"                 # a recipe, as for --config
OVERRIDES = {"train.duration": "20 epochs"}    # of the recipe; optional
SPACE = {
  "optimizer.learning_rate": sweep.log_uniform(1e-4, 1e-1),
  "seed": sweep.seeds(3),
}
OBJECTIVE = sweep.maximize("validation_ema/top1")
PRUNING = sweep.halving(3)                     # optional
READ = "How to read the answer."
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxvision import config as configs
from jaxvision import user_code
from jaxvision.config import recipe_files
from jaxvision.runs.sweep_folder import FOLD, FOLD_AXIS, FOLDS, SEED
from jaxvision.sweeps.experiment import axes, space
from jaxvision.sweeps.experiment.axes import Space
from jaxvision.sweeps.experiment.objective import Objective
from jaxvision.sweeps.experiment.pruning import Halving

# name -> the required type.
_NEEDED = {
  "QUESTION": str,
  "BASE": str,
  "SPACE": Mapping,
  "OBJECTIVE": Objective,
  "READ": str,
}
_OPTIONAL = {"OVERRIDES": Mapping, "PRUNING": Halving}


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The definition of a sweep.

  Attributes:
    question: the question, for readers of the report.
    read: how to read the answer, for readers of the report.
    recipe: the base config, as for --config.
    overrides: config values of all trials.
    space: the search space.
    objective: the metric that is optimized.
    pruning: when trials are pruned; None for no pruning.
    copies: copies of the recipe and of the user's own code that the config
      names, made at the start of the sweep. The key is the name as written.
  """

  question: str
  recipe: str
  overrides: dict[str, Any]
  space: Space
  objective: Objective
  read: str
  pruning: Halving | None = None
  copies: Mapping[str, user_code.Bundle] = dataclasses.field(
    default_factory=dict
  )


def load(
  path: str | pathlib.Path,
  overrides: Mapping[str, Any] | None = None,
  *,
  seeds: int | None = None,
  folds: int | None = None,
) -> Experiment:
  """Loads an experiment from a file.

  Args:
    path: the Python file.
    overrides: config values that replace those of the file.
    seeds: number of seeds of each setting; None for those of the file.
    folds: number of folds of each setting; None for those of the file.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: a required name is missing or has the wrong type, or the base
      config does not accept a key or a value of the space.
  """
  found = read_constants(path, needed=_NEEDED, optional=_OPTIONAL)
  loaded = Experiment(
    question=found["QUESTION"],
    recipe=found["BASE"],
    overrides={**found.get("OVERRIDES", {}), **(overrides or {})},
    space=repeated(found["SPACE"], seeds=seeds, folds=folds),
    objective=found["OBJECTIVE"],
    read=found["READ"],
    pruning=found.get("PRUNING"),
  )
  return check(loaded)


def repeated(of: Space, *, seeds: int | None, folds: int | None) -> Space:
  """The space with another number of seeds and folds; None keeps its own.

  The folds come first: the trials of a fold share their data, and so they can
  be trained in one program.
  """
  if folds is not None:
    own = {k: v for k, v in of.items() if k not in (FOLDS, FOLD, FOLD_AXIS)}
    of = {FOLD_AXIS: axes.folds(folds), **own}
  return of if seeds is None else {**of, SEED: axes.seeds(seeds)}


def check(experiment: Experiment, *, owner: str = "") -> Experiment:
  """Checks that the config accepts every key and extreme value of the space.

  Args:
    experiment: the experiment to check.
    owner: the folder that names the recipe; "" if the user typed it.

  Returns:
    The experiment with copies of the code that its config names.

  Raises:
    ValueError: the config does not accept a key or a value, the axis of the
      folds has another name than "fold", or the folder names code that is not
      trusted.
  """
  space.check_folds(experiment.space)
  path = experiment.recipe.partition(":")[0]
  code = {
    path: recipe_files.bundle(path, copies=experiment.copies, owner=owner)
  }
  for point in space.corners(experiment.space):
    config = configs.load(
      experiment.recipe,
      {**experiment.overrides, **point.overrides},
      copies={**experiment.copies, **code},
      owner=owner,
    )
    code |= user_code.used(config)
  return dataclasses.replace(experiment, copies=code)


def read_constants(
  path: str | pathlib.Path,
  *,
  needed: Mapping[str, Any],
  optional: Mapping[str, Any],
) -> dict[str, Any]:
  """Runs a Python file and returns its constants, {name: value}.

  Args:
    path: the file.
    needed: {name: type}; all of them are required.
    optional: the same for names that may be missing.

  Raises:
    FileNotFoundError: the file does not exist.
    ValueError: a required name is missing, or a value has the wrong type.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise FileNotFoundError(
      f"no experiment {str(path)!r} in {pathlib.Path.cwd()}; give a Python "
      f"file that defines {', '.join(_NEEDED)}"
    )
  module = user_code.load_module(user_code.open_file(path))
  found = {}
  for name, kind in {**needed, **optional}.items():
    value = getattr(module, name, None)
    if value is None and name in optional:
      continue
    if not isinstance(value, kind) or isinstance(value, bool):
      need = "it is required, with" if name in needed else "if given, it has"
      raise ValueError(
        f"{path}: {name} is {value!r}; {need} the type {kind.__name__} (see "
        "docs/sweeps.md)"
      )
    found[name] = value
  return found
