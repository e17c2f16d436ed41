"""Reads an experiment: a Python file that says what is asked, and of what.

QUESTION = "Which learning rate?"
BASE = "configs/digits.py:mlp"                 # a recipe, as for --config
OVERRIDES = {"train.duration": "20 epochs"}    # of the recipe; may be left out
SPACE = {
  "optimizer.learning_rate": sweep.log_uniform(1e-4, 1e-1),
  "seed": sweep.seeds(3),
}
OBJECTIVE = sweep.maximize("validation_ema/top1")
PRUNING = sweep.halving(3)                     # may be left out
READ = "How to read the answer."
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxvision import config as configs
from jaxvision import user_code
from jaxvision.config import recipe_files
from jaxvision.sweeps.experiment import space
from jaxvision.sweeps.experiment.axes import Space
from jaxvision.sweeps.experiment.objective import Objective
from jaxvision.sweeps.experiment.pruning import Halving

# name -> the type it must have.
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
  """A question and the runs that could answer it.

  Attributes:
    question, read: for people: what is asked, and how to read the answer.
    recipe: the base config, as for --config.
    overrides: of the recipe, in all runs.
    space: what the runs differ in.
    objective: what makes a run better than another.
    pruning: which runs end early; None for none.
    copies: of the recipe and of the user's own code that it names, by what is
      written, as they were when the sweep began.
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
  path: str | pathlib.Path, overrides: Mapping[str, Any] | None = None
) -> Experiment:
  """The experiment in a file.

  Args:
    path: the Python file.
    overrides: of the base config, beyond those of the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it lacks a name, one has the wrong type, or the space has a key
      or a value that its base config does not take.
  """
  found = _constants(pathlib.Path(path))
  loaded = Experiment(
    question=found["QUESTION"],
    recipe=found["BASE"],
    overrides={**found.get("OVERRIDES", {}), **(overrides or {})},
    space=found["SPACE"],
    objective=found["OBJECTIVE"],
    read=found["READ"],
    pruning=found.get("PRUNING"),
  )
  return check(loaded)


def check(experiment: Experiment, *, owner: str = "") -> Experiment:
  """Whether the config takes every key and every extreme value of the space.

  Args:
    experiment: what is asked.
    owner: the folder that names the recipe; "" where the user does.

  Returns:
    The same with the code that it names.

  Raises:
    ValueError: it does not, or the folder names code that is not trusted.
  """
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


def _constants(path: pathlib.Path) -> dict[str, Any]:
  if not path.is_file():
    raise FileNotFoundError(
      f"no experiment {str(path)!r} in {pathlib.Path.cwd()}; it is a Python "
      f"file with {', '.join(_NEEDED)}"
    )
  module = user_code.load_module(user_code.open_file(path))
  for name, kind in (_NEEDED | _OPTIONAL).items():
    value = getattr(module, name, None)
    if value is None and name in _OPTIONAL:
      continue
    if not isinstance(value, kind):
      raise ValueError(
        f"{path}: {name} is {value!r}; it must be there, and of type "
        f"{kind.__name__} (see jaxvision/sweeps/experiment/experiment.py)"
      )
  return {
    name: getattr(module, name)
    for name in (_NEEDED | _OPTIONAL)
    if hasattr(module, name)
  }
