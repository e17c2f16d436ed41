"""Loads the config of a run: a Python recipe and overrides.

A recipe is a file with `get_config()` or `get_config(argument)`, named as
"recipe.py" or "recipe.py:argument". The result must have exactly the keys of
configs/default.py. Only the dictionaries called `options` may have any keys:
they are the keyword arguments of a function, which checks them.
"""

import functools
import logging
import operator
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from jaxvision import lookup, user_code
from jaxvision.config import keys, recipe_files
from jaxvision.lookup import options as kinds

ConfigDict = config_dict.ConfigDict
_LOGGER = logging.getLogger(__name__)

# The only dictionaries that accept any key.
_OPTIONS = tuple(
  f"{group}.options"
  for group in ("task", "model", "loss", "optimizer", "schedule")
)


def load(
  recipe: str,
  overrides: Mapping[str, Any] | None = None,
  *,
  copies: Mapping[str, user_code.Bundle] | None = None,
  owner: str = "",
) -> ConfigDict:
  """Loads a recipe, applies overrides, checks all keys and freezes the config.

  Args:
    recipe: "path/recipe.py" or "path/recipe.py:argument".
    overrides: values by dotted key, such as {"optimizer.learning_rate": 0.1}.
      Text is converted to the type of the key, as on the command line.
    copies: copies of code, which replace the named files.
    owner: the folder that names the recipe; "" if the user has named it.

  Returns:
    A frozen config with every key of configs/default.py. References to
    user-defined functions are resolved, see `user_code.resolve`.

  Raises:
    FileNotFoundError: the recipe or a user-defined file does not exist.
    ValueError: a key does not exist, a value has the wrong type or is out of
      range, or a duration cannot be parsed.
  """
  path = recipe.partition(":")[0]
  try:
    config = recipe_files.call(recipe, copies=copies, owner=owner)
  except (AttributeError, KeyError, TypeError) as error:
    raise _shortened(error, path) from error
  return _finished(
    config,
    overrides or {},
    name=recipe,
    folders=[pathlib.Path(path).expanduser().parent, pathlib.Path()],
    copies=copies,
    owner=owner,
  )


def restore(
  saved: Mapping[str, Any],
  overrides: Mapping[str, Any] | None = None,
  *,
  folders: Sequence[pathlib.Path] = (pathlib.Path(),),
  copies: Mapping[str, user_code.Bundle] | None = None,
  owner: str = "",
) -> ConfigDict:
  """Loads the saved config of a run; the result is like that of `load`.

  Args:
    saved: nested, from JSON; missing keys get their defaults.
    overrides, copies: as for `load`, which raises the same errors.
    folders: the folders that relative paths of code may start in.
    owner: the folder of the run.
  """
  kept = user_code.resolve(
    complete(saved), folders=folders, copies=copies, owner=owner
  )
  return _finished(
    ConfigDict(kept),
    overrides or {},
    name=f"{owner}/config.json",
    folders=folders,
    copies=copies,
    owner="",  # the overrides are typed
  )


def complete(saved: Mapping[str, Any]) -> dict[str, Any]:
  """Converts lists from JSON to tuples and adds missing keys."""
  from jaxvision.configs import default

  known, saved = default.get_config().to_dict(), _tuples(as_trained(saved))
  return {
    key: {**value, **saved.get(key, {})}
    if isinstance(value, dict)
    else saved.get(key, value)
    for key, value in known.items()
  }


def as_trained(saved: Mapping[str, Any]) -> dict[str, Any]:
  """Corrects options of old runs to the values that the run was trained with.

  Versions without data.max_pixels stored `false` from the command line as text.
  Python treats any non-empty text as true, so these runs trained with true.

  Args:
    saved: nested, from JSON.
  """
  saved = dict(saved)
  if "max_pixels" in saved.get("data", {"max_pixels": None}):
    return saved
  for key in _OPTIONS:
    group = key.partition(".")[0]
    options = dict(saved.get(group, {}).get("options", {}))
    for name, value in options.items():
      if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        options[name] = True
        _warn_as_trained(f"{key}.{name}", value)
    if group in saved:
      saved[group] = {**saved[group], "options": options}
  return saved


@functools.cache
def _warn_as_trained(key: str, text: str) -> None:
  """Warns once about a text "false" that had the effect of true."""
  if text.strip().lower() == "false":
    _LOGGER.warning(
      "%s is stored as the text %r, which the version that trained this run "
      "treated as true; it stays true for this run",
      key,
      text,
    )


def _tuples(value: Any) -> Any:
  """Converts lists to tuples, because JSON has no tuples."""
  if isinstance(value, dict):
    return {k: _tuples(v) for k, v in value.items()}
  if isinstance(value, list):
    return tuple(_tuples(v) for v in value)
  return value


def _finished(
  config: ConfigDict,
  overrides: Mapping[str, Any],
  *,
  name: str,
  **code: Any,
) -> ConfigDict:
  """Applies overrides, checks all keys, resolves user code and freezes."""
  for key, value in overrides.items():
    _override(config, key, value)
  _check(config, name)
  _check_fold(config.data, name)
  if not config.model.weights:
    # Empty means the values of the weights. Without weights, use the default.
    for key in ("mean", "std"):
      config.data[key] = config.data[key] or (0.5,)
  resolved = user_code.resolve(config.to_dict(), **code)
  return config_dict.FrozenConfigDict(resolved)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns {"optimizer.learning_rate": 0.1, ...}, in the config's order."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, Mapping | ConfigDict | config_dict.FrozenConfigDict):
      flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
    else:
      flat[key] = value
  return flat


def _shortened(error: Exception, path: str) -> Exception:
  """ml_collections' error for a wrong key, without the complete config."""
  from jaxvision.configs import default

  key = re.search(r'Key "(\w+)" does not exist', str(error))
  if key:
    known = list(flatten(default.get_config().to_dict()))
    return ValueError(lookup.unknown(f"key in {path}:", key[1], known))
  if "Could not override field" in str(error):
    return ValueError(f"{path}: {error}")
  return error


def _override(config: ConfigDict, key: str, value: Any) -> None:
  """Sets a dotted key in place; text is parsed like an ml_collections flag."""
  value = kinds.plain(value)
  *parents, last = key.split(".")
  owner = config
  for name in parents:
    if not isinstance(owner, ConfigDict) or name not in owner:
      raise _unknown_key(config, key)
    owner = owner[name]
  if ".".join(parents) in _OPTIONS:
    # The type is declared by the function, not by the recipe's value.
    with owner.unlocked():
      if last in owner:
        del owner[last]
      owner[last] = _literal(value)
  elif not isinstance(owner, ConfigDict) or last not in owner:
    raise _unknown_key(config, key)
  elif isinstance(owner[last], ConfigDict):
    _override_group(owner, last, value, key)
  elif _is_word(value) and keys.TYPES.get(key) is not str:
    _assign(owner, last, kinds.WORDS[value.strip().lower()], key)
  elif isinstance(owner[last], tuple) and _is_tuple(_literal(value)):
    # Flags of ml_collections ignore an empty tuple.
    _assign(owner, last, _literal(value), key)
  elif isinstance(value, str):
    _override_by_flag(config, key, value)
  else:
    _assign(owner, last, value, key)


def _override_group(owner: ConfigDict, name: str, value: Any, key: str) -> None:
  """Sets options as one dictionary; other groups are set key by key."""
  value = _literal(value)
  if key not in _OPTIONS:
    raise ValueError(
      f"config key {key!r} is a group of keys; set one of them, as in "
      f"{key}.{next(iter(owner[name]))}"
    )
  if not isinstance(value, Mapping) or not all(
    isinstance(each, str) for each in value
  ):
    raise ValueError(
      f"config key {key!r}: {value!r} is not a dictionary of keyword "
      "arguments; write it as in {'rate': 0.1}"
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
  # ml_collections accepts True as the number 1.
  if isinstance(value, bool) and owner.get_type(name) is not bool:
    raise _wrong_type(owner, name, value, key)
  try:
    owner[name] = tuple(value) if isinstance(value, list) else value
  except TypeError as error:
    raise _wrong_type(owner, name, value, key) from error


def _wrong_type(
  owner: ConfigDict, name: str, value: Any, key: str
) -> ValueError:
  expected = owner.get_type(name).__name__
  return ValueError(
    f"config key {key!r}: {value!r} is not of type {expected}; the current "
    f"value is {owner[name]!r}"
  )


def _unknown_key(config: ConfigDict, key: str) -> ValueError:
  known = list(flatten(config.to_dict()))
  return ValueError(lookup.unknown("config key", key, known))


def _literal(value: Any) -> Any:
  """Parses text as a literal: "3" is 3, "false" is False, "small" stays text.

  "none" stays text, because it is also the name of a norm. The type of the
  parameter decides.
  """
  if not isinstance(value, str) or value.strip().lower() == "none":
    return None if value == "None" else value
  try:
    return lookup.literal(value)
  except ValueError:
    return value


def _is_tuple(value: Any) -> bool:
  return isinstance(value, tuple | list)


def _is_word(value: Any) -> bool:
  return isinstance(value, str) and value.strip().lower() in kinds.WORDS


def _check(config: ConfigDict, recipe: str) -> None:
  """Checks the keys against configs/default.py, and the type of each value."""
  from jaxvision.configs import default

  known, given = (
    fixed_keys(each.to_dict()) for each in (default.get_config(), config)
  )
  for key in given:
    if key not in known:
      raise ValueError(lookup.unknown(f"key in {recipe}:", key, known))
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
  for key, value in keys.check(given).items():
    *parents, last = key.split(".")
    owner = functools.reduce(operator.getitem, parents, config)
    owner[last] = ConfigDict(kinds.plain(value)) if key in _OPTIONS else value


def _check_fold(data: ConfigDict, recipe: str) -> None:
  """Raises ValueError unless the run's fold is one of its folds."""
  folds, fold = data.folds, data.fold
  if folds == 1:
    raise ValueError(
      f"{recipe}: config key 'data.folds' is 1; expected at least 2 folds, or "
      "0 for a run without cross-validation"
    )
  if fold and fold >= folds:
    known = f"expected 0 to {folds - 1}" if folds else "set data.folds too"
    raise ValueError(
      f"{recipe}: config key 'data.fold' is {fold}, and data.folds is {folds}; "
      f"{known}"
    )


def fixed_keys(config: Mapping[str, Any], group: str = "") -> dict[str, Any]:
  """Returns all dotted keys; an `options` dictionary counts as one key."""
  fixed = {}
  for name, value in config.items():
    key = group + name
    if isinstance(value, Mapping) and key not in _OPTIONS:
      fixed |= fixed_keys(value, key + ".")
    else:
      fixed[key] = value
  return fixed
