"""Reads what a run is: a recipe in Python, and overrides.

A recipe is a file with `get_config()` or `get_config(argument)`, named as
"recipe.py" or "recipe.py:argument". Its result has the keys of
configs/default.py, neither more nor fewer; only the dictionaries called
`options` are free, because they are the keyword arguments of a function, which
checks them itself.
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

# The only dictionaries whose keys are free.
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
  """The config of a recipe, overridden, checked and frozen.

  Args:
    recipe: "path/recipe.py" or "path/recipe.py:argument".
    overrides: values by dotted key, as {"optimizer.learning_rate": 0.1}. Text
      is converted to the type of the key, as on the command line.
    copies: of code, in place of the files that are named.
    owner: the folder that names the recipe; "" where the user does.

  Returns:
    A frozen config with every key of configs/default.py. Functions of the
    user's own stand in it as `user_code.resolve` leaves them.

  Raises:
    FileNotFoundError: there is no such recipe, or file of the user's own.
    ValueError: a key that does not exist, a value of the wrong type or out of
      its range, or a duration that cannot be read.
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
  """The config that a run has kept, as `load` returns it.

  Args:
    saved: nested, as JSON has it; keys that it lacks have their defaults.
    overrides, copies: as for `load`, which raises the same.
    folders: that relative paths of code may start in.
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
  """A nested config from JSON, with tuples, and with the keys that it lacks."""
  from jaxvision.configs import default

  known, saved = default.get_config().to_dict(), _tuples(as_trained(saved))
  return {
    key: {**value, **saved.get(key, {})}
    if isinstance(value, dict)
    else saved.get(key, value)
    for key, value in known.items()
  }


def as_trained(saved: Mapping[str, Any]) -> dict[str, Any]:
  """A kept config whose options say what the run was trained with.

  The versions without data.max_pixels kept `false` of a command line as text,
  and all text is true to Python: they trained with true.

  Args:
    saved: nested, as JSON has it.
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
        _say_as_trained(f"{key}.{name}", value)
    if group in saved:
      saved[group] = {**saved[group], "options": options}
  return saved


@functools.cache
def _say_as_trained(key: str, text: str) -> None:
  """Says once what became of a text that meant the contrary."""
  if text.strip().lower() == "false":
    _LOGGER.warning(
      "%s is kept as the text %r, which the version that trained this run took "
      "for true; it stays true for this run",
      key,
      text,
    )


def _tuples(value: Any) -> Any:
  """JSON has lists where a config has tuples."""
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
  """Overridden, checked, with its own code resolved, and frozen."""
  for key, value in overrides.items():
    _override(config, key, value)
  _check(config, name)
  if not config.model.weights:
    # Empty means those of the weights, of which there are none.
    for key in ("mean", "std"):
      config.data[key] = config.data[key] or (0.5,)
  resolved = user_code.resolve(config.to_dict(), **code)
  return config_dict.FrozenConfigDict(resolved)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
  """{"optimizer.learning_rate": 0.1, ...}, in the order of the config."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, Mapping | ConfigDict | config_dict.FrozenConfigDict):
      flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
    else:
      flat[key] = value
  return flat


def _shortened(error: Exception, path: str) -> Exception:
  """What ml_collections says of a wrong key, without the whole config."""
  from jaxvision.configs import default

  key = re.search(r'Key "(\w+)" does not exist', str(error))
  if key:
    known = list(flatten(default.get_config().to_dict()))
    return ValueError(lookup.unknown(f"key in {path}:", key[1], known))
  if "Could not override field" in str(error):
    return ValueError(f"{path}: {error}")
  return error


def _override(config: ConfigDict, key: str, value: Any) -> None:
  """Sets one dotted key in place; text as ml_collections' flags read it."""
  value = kinds.plain(value)
  *parents, last = key.split(".")
  owner = config
  for name in parents:
    if not isinstance(owner, ConfigDict) or name not in owner:
      raise _unknown_key(config, key)
    owner = owner[name]
  if ".".join(parents) in _OPTIONS:
    # The function says the type, not what the recipe happens to set.
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
    # The flags leave a value as it is where it is replaced by no values.
    _assign(owner, last, _literal(value), key)
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
  if not isinstance(value, Mapping) or not all(
    isinstance(each, str) for each in value
  ):
    raise ValueError(
      f"config key {key!r}: {value!r} is no dictionary of keyword arguments; "
      "write it as in {'rate': 0.1}"
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
  return ValueError(lookup.unknown("config key", key, known))


def _literal(value: Any) -> Any:
  """Text as a literal where it is one: "3" is 3, "false" False, "small" stays.

  So does "none": it is the name of a norm, too. Which it is, the parameter
  says.
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
  """The keys of configs/default.py, neither more nor fewer, each readable."""
  from jaxvision.configs import default

  known, given = (
    _fixed_keys(each.to_dict()) for each in (default.get_config(), config)
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
