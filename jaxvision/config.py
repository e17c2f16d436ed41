"""Reads what a run is: a recipe in Python, overrides, durations.

A recipe is a file with `get_config()` or `get_config(argument)`, named as
"recipe.py" or "recipe.py:argument". Its result has the keys of
configs/default.py, neither more nor fewer; only the dictionaries called
`options` are free, because they are the keyword arguments of a function, which
checks them itself.
"""

import ast
import functools
import importlib.util
import inspect
import math
import operator
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from jaxvision import spelling

ConfigDict = config_dict.ConfigDict

# The only dictionaries whose keys are free.
_OPTIONS = tuple(
  f"{group}.options" for group in ("model", "loss", "optimizer", "schedule")
)
_RULES = ("optimizer.learning_rate_rules", "optimizer.weight_decay_rules")
# key -> the least and the greatest value that make sense.
_RANGES = {
  "data.num_classes": (0, math.inf),
  "data.threads": (0, math.inf),
  "data.workers": (0, math.inf),
  "data.max_unreadable": (0, 1),
  "loss.l1": (0, math.inf),
  "loss.l2": (0, math.inf),
  "optimizer.learning_rate": (0, math.inf),
  "optimizer.weight_decay": (0, math.inf),
  "optimizer.layer_decay": (0, 1),
  "optimizer.gradient_clip": (0, math.inf),
  "optimizer.sam_radius": (0, math.inf),
  "ema.decay": (0, 0.999_999),
  "train.batch_size": (1, math.inf),
  "train.steps_per_dispatch": (1, math.inf),
  "train.accumulate": (1, math.inf),
  "mesh.replica": (0, math.inf),
  "mesh.data": (0, math.inf),
  "mesh.fsdp": (0, math.inf),
  "evaluate.batch_size": (0, math.inf),
  "checkpoint.keep": (1, math.inf),
}
_DURATIONS = (
  "train.duration",
  "schedule.warmup",
  "evaluate.every",
  "checkpoint.every",
  "log.every",
)
_NUMBER = r"(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:e\d+)?"
_DURATION = re.compile(rf"\s*({_NUMBER})\s*([a-z]*|%)\s*")
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
    ValueError: a key that does not exist, a value of the wrong type or out of
      its range, or a duration that cannot be read.
  """
  config = _call_recipe(recipe)
  for key, value in (overrides or {}).items():
    _override(config, key, value)
  _check(config, recipe)
  if not config.model.weights:
    for key in (
      "mean",
      "std",
    ):  # empty: of the weights, of which there are none
      config.data[key] = config.data[key] or (0.5,)
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
  try:
    return module.get_config(*([argument] if argument else []))
  except (AttributeError, KeyError, TypeError) as error:
    raise _shortened(error, path) from error


def _shortened(error: Exception, path: str) -> Exception:
  """What ml_collections says of a wrong key, without the whole config."""
  from jaxvision.configs import default

  key = re.search(r'Key "(\w+)" does not exist', str(error))
  if key:
    known = list(flatten(default.get_config().to_dict()))
    return ValueError(spelling.unknown(f"key in {path}:", key[1], known))
  if "Could not override field" in str(error):
    return ValueError(f"{path}: {error}")
  return error


def _override(config: ConfigDict, key: str, value: Any) -> None:
  """Sets one dotted key in place; text as ml_collections' flags read it."""
  *parents, last = key.split(".")
  owner = config
  for name in parents:
    if not isinstance(owner, ConfigDict) or name not in owner:
      raise _unknown_key(config, key)
    owner = owner[name]
  if ".".join(parents) in _OPTIONS:
    with owner.unlocked():
      owner[last] = _literal(value)
  elif not isinstance(owner, ConfigDict) or last not in owner:
    raise _unknown_key(config, key)
  elif isinstance(owner[last], ConfigDict):
    _override_group(owner, last, value, key)
  elif isinstance(value, str):
    _override_by_flag(config, key, value)
  else:
    _assign(owner, last, value, key)


def _override_group(owner: ConfigDict, name: str, value: Any, key: str) -> None:
  """Options may be given all at once; the keys of other groups one by one."""
  value = _literal(value)
  if key not in _OPTIONS:
    raise ValueError(
      f"config key {key!r} is a group of keys; set one of them, as in "
      f"{key}.{next(iter(owner[name]))}"
    )
  if not isinstance(value, Mapping):
    raise ValueError(
      f"config key {key!r}: {value!r} is no dictionary; give keyword "
      "arguments, as in {'rate': 0.1}"
    )
  owner[name] = ConfigDict(dict(value))


def _override_by_flag(config: ConfigDict, key: str, value: str) -> None:
  argument = f"--config.{key}={value}"
  values = flags.FlagValues()
  try:
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=[argument]
    )
    values(["jaxvision", argument])
  except (flags.Error, TypeError, ValueError) as error:
    *parents, last = key.split(".")
    owner = functools.reduce(operator.getitem, parents, config)
    raise _wrong_type(owner, last, value, key) from error


def _assign(owner: ConfigDict, name: str, value: Any, key: str) -> None:
  # To ml_collections, as to Python, True is the number 1.
  if isinstance(value, bool) and owner.get_type(name) is not bool:
    raise _wrong_type(owner, name, value, key)
  try:
    owner[name] = tuple(value) if isinstance(value, list) else value
  except TypeError as error:
    raise _wrong_type(owner, name, value, key) from error


def _wrong_type(
  owner: ConfigDict, name: str, value: Any, key: str
) -> ValueError:
  return ValueError(
    f"config key {key!r}: {value!r} is no {owner.get_type(name).__name__}; it "
    f"is {owner[name]!r} now"
  )


def _unknown_key(config: ConfigDict, key: str) -> ValueError:
  known = list(flatten(config.to_dict()))
  return ValueError(spelling.unknown("config key", key, known))


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

  known, given = (
    _fixed_keys(each.to_dict()) for each in (default.get_config(), config)
  )
  for key in given:
    if key not in known:
      raise ValueError(spelling.unknown(f"key in {recipe}:", key, known))
  for key, value in known.items():
    if key not in given:
      raise ValueError(
        f"{recipe} lacks the config key {key!r}; start the recipe from "
        "default.get_config(), as configs/default.py shows"
      )
    if value is not None and type(given[key]) is not type(value):
      raise ValueError(
        f"{recipe}: config key {key!r} is {given[key]!r}, of type "
        f"{type(given[key]).__name__}; it must be {type(value).__name__}"
      )
  _check_values(given)


def _check_values(given: Mapping[str, Any]) -> None:
  for key in _DURATIONS:
    try:
      _parse_duration(given[key])
    except ValueError as error:
      raise ValueError(f"config key {key!r}: {error}") from None
  for key, (least, greatest) in _RANGES.items():
    if not least <= given[key] <= greatest:
      limit = "" if greatest == math.inf else f" and at most {greatest}"
      raise ValueError(
        f"config key {key!r} is {given[key]}; it must be at least {least}"
        f"{limit}"
      )
  for key in _RULES:
    for rule in given[key]:
      if not _is_rule(rule):
        raise ValueError(
          f"config key {key!r} has the rule {rule!r}; rules are pairs of a "
          'regular expression and a factor, as in (("head/.*", 1.0), (".*", '
          "None))"
        )


def _is_rule(rule: Any) -> bool:
  return (
    isinstance(rule, Sequence)
    and len(rule) == 2
    and isinstance(rule[0], str)
    and (rule[1] is None or isinstance(rule[1], int | float))
  )


def _fixed_keys(config: Mapping[str, Any], group: str = "") -> dict[str, Any]:
  """All keys, dotted; options are one key, whatever they hold."""
  fixed = {}
  for name, value in config.items():
    key = group + name
    if isinstance(value, Mapping) and key not in _OPTIONS:
      fixed |= _fixed_keys(value, key + ".")
    else:
      fixed[key] = value
  return fixed
