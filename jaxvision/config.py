"""Reads what a run is: a recipe in Python, overrides, durations.

A recipe is a file with `get_config()` or `get_config(argument)`, named as
"recipe.py" or "recipe.py:argument". Its result has the keys of
configs/default.py, neither more nor fewer; only the dictionaries called
`options` are free, because they are the keyword arguments of a function, which
checks them itself.
"""

import ast
import importlib.util
import inspect
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from jaxvision import spelling

ConfigDict = config_dict.ConfigDict

_DURATIONS = (
  "train.duration",
  "schedule.warmup",
  "evaluate.every",
  "checkpoint.every",
  "log.every",
)
_DURATION = re.compile(r"\s*([\d_.]+(?:e\d+)?)\s*([a-z]*|%)\s*")
_UNITS = {
  "": "steps",
  "step": "steps",
  "steps": "steps",
  "epoch": "epochs",
  "epochs": "epochs",
  "example": "examples",
  "examples": "examples",
  "percent": "percent",
  "%": "percent",
}


def load(recipe: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
  """The config of a recipe, overridden, checked and frozen.

  Args:
    recipe: "path/recipe.py" or "path/recipe.py:argument".
    overrides: values by dotted key, as {"optimizer.learning_rate": 0.1}. Text
      is converted to the type of the key, as on the command line.

  Returns:
    A frozen config with every key of configs/default.py.

  Raises:
    FileNotFoundError: there is no such recipe.
    ValueError: a key that does not exist, a value of the wrong type or a
      duration that cannot be read.
  """
  config = _call_recipe(recipe)
  for key, value in (overrides or {}).items():
    _override(config, key, value)
  _check(config, recipe)
  return config_dict.FrozenConfigDict(config)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
  """{"optimizer.learning_rate": 0.1, ...}, in the order of the config."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, Mapping | ConfigDict | config_dict.FrozenConfigDict):
      flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
    else:
      flat[key] = value
  return flat


def steps(
  duration: str,
  *,
  batch_size: int,
  num_examples: int,
  total_steps: int | None = None,
  multiple_of: int = 1,
) -> int:
  """A duration in whole steps.

  Args:
    duration: "500 steps", "10 epochs", "1e6 examples", "5 percent" or "500".
    batch_size: examples in a step.
    num_examples: examples in an epoch.
    total_steps: what percentages are of; None where they make no sense.
    multiple_of: the result is rounded up to a multiple of it.

  Raises:
    ValueError: not a duration, or percent where there is no total.
  """
  number, unit = _parse_duration(duration)
  if unit == "percent" and total_steps is None:
    raise ValueError(
      f"duration {duration!r}: percent of the run cannot say how long the run "
      "itself is; use steps, epochs or examples"
    )
  examples_in = {"epochs": num_examples, "examples": 1}
  if unit == "steps":
    exact = number
  elif unit == "percent":
    exact = number / 100 * total_steps
  else:
    exact = number * examples_in[unit] / batch_size
  # Something that lasts at all lasts a step; "0 epochs" stays nothing.
  whole = max(round(exact), 1 if exact > 0 else 0)
  return math.ceil(whole / multiple_of) * multiple_of


def _parse_duration(duration: str) -> tuple[float, str]:
  match = _DURATION.fullmatch(duration)
  if match is None or match.group(2) not in _UNITS:
    raise ValueError(
      f"{duration!r} is not a duration; write a number and steps, epochs, "
      'examples or percent: "500 steps", "2.5 epochs"'
    )
  return float(match.group(1)), _UNITS[match.group(2)]


def _call_recipe(recipe: str) -> ConfigDict:
  path, _, argument = recipe.partition(":")
  if not pathlib.Path(path).is_file():
    raise FileNotFoundError(
      f"no recipe {path!r} in {pathlib.Path.cwd()}; --config takes a Python "
      "file, as in configs/digits.py or configs/digits.py:linear"
    )
  spec = importlib.util.spec_from_file_location("recipe", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, "get_config"):
    raise ValueError(f"{path} has no function get_config; a recipe needs one")
  if argument and not inspect.signature(module.get_config).parameters:
    raise ValueError(
      f"{path} takes no argument, but got {argument!r}; use --config {path}"
    )
  return module.get_config(*([argument] if argument else []))


def _override(config: ConfigDict, key: str, value: Any) -> None:
  """Sets one dotted key in place; text as ml_collections' flags read it."""
  *parents, last = key.split(".")
  owner = config
  for depth, name in enumerate(parents):
    if not isinstance(owner, ConfigDict) or name not in owner:
      raise _unknown_key(config, ".".join(parents[: depth + 1]), key)
    owner = owner[name]
  if parents and parents[-1] == "options":
    with owner.unlocked():
      owner[last] = _literal(value)
  elif not isinstance(owner, ConfigDict) or last not in owner:
    raise _unknown_key(config, key, key)
  elif isinstance(value, str):
    _override_by_flag(config, key, value)
  else:
    _assign(owner, last, value, key)


def _override_by_flag(config: ConfigDict, key: str, value: str) -> None:
  argument = f"--config.{key}={value}"
  values = flags.FlagValues()
  try:
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=[argument]
    )
    values(["jaxvision", argument])
  except (flags.Error, TypeError, ValueError) as error:
    raise _wrong_type(config, key, value) from error


def _assign(owner: ConfigDict, name: str, value: Any, key: str) -> None:
  try:
    owner[name] = tuple(value) if isinstance(value, list) else value
  except TypeError as error:
    raise _wrong_type(owner, name, value, key) from error


def _wrong_type(
  config: ConfigDict, key: str, value: Any, shown: str | None = None
) -> ValueError:
  current = config
  for name in key.split("."):
    current = current[name]
  return ValueError(
    f"config key {shown or key!r}: {value!r} is no "
    f"{type(current).__name__}; give a value like {current!r}"
  )


def _unknown_key(config: ConfigDict, wrong: str, key: str) -> ValueError:
  known = list(flatten(config.to_dict()))
  return ValueError(spelling.unknown("config key", key or wrong, known))


def _literal(value: Any) -> Any:
  """Text as a Python literal where it is one: "3" is 3, "small" stays."""
  if not isinstance(value, str):
    return value
  try:
    return ast.literal_eval(value)
  except (SyntaxError, ValueError):
    return value


def _check(config: ConfigDict, recipe: str) -> None:
  """The keys of configs/default.py, neither more nor fewer, each readable."""
  from jaxvision.configs import default

  known, given = (_fixed_keys(c) for c in (default.get_config(), config))
  for key in given.keys() - known.keys():
    raise ValueError(spelling.unknown(f"{recipe}: config key", key, known))
  for key in known.keys() - given.keys():
    raise ValueError(
      f"{recipe} lacks the config key {key!r}; start the recipe from "
      "default.get_config(), as configs/default.py shows"
    )
  for key, value in known.items():
    if value is not None and type(given[key]) is not type(value):
      raise ValueError(
        f"{recipe}: config key {key!r} is {given[key]!r}, of type "
        f"{type(given[key]).__name__}; it must be {type(value).__name__}"
      )
  for key in _DURATIONS:
    _parse_duration(given[key])


def _fixed_keys(config: ConfigDict) -> dict[str, Any]:
  flat = flatten(config.to_dict())
  return {k: v for k, v in flat.items() if ".options" not in k}
