"""The scripts of experiments/, which tests import by their paths."""

import importlib.util
import pathlib
import sys
import types

FOLDER = pathlib.Path(__file__).parents[1] / "experiments"


def load(path: str) -> types.ModuleType:
  """Imports a script by its path below experiments/, such as "kill.py".

  As in `python experiments/kill.py`, it may import the other scripts.
  """
  if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))
  name = path.replace("/", "_").removesuffix(".py")
  spec = importlib.util.spec_from_file_location(name, FOLDER / path)
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module  # dataclasses look their module up
  spec.loader.exec_module(module)
  return module
