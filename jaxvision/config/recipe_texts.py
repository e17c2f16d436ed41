"""Recipes as text: complete files that `jaxvision train --config` accepts."""

from collections.abc import Mapping
from typing import Any

from jaxvision import user_code
from jaxvision.config.loading import ConfigDict, fixed_keys

_ONE = '''

def get_config() -> default.ConfigDict:
  """The recipe."""
  config = default.get_config()
{common}
  return config
'''
_SEVERAL = '''

def get_config(member: str = {first!r}) -> default.ConfigDict:
  """The recipe of a member."""
  if member not in MEMBERS:
    names = ", ".join(MEMBERS)
    raise ValueError(f"no member {{member!r}}; use one of {{names}}")
  config = default.get_config()
{common}
  for key, value in MEMBERS[member].items():
    group, _, name = key.rpartition(".")
    owner = config[group] if group else config
    owner[name] = value
  return config
'''


def write_recipe(members: Mapping[str, ConfigDict], *, about: str) -> str:
  """Returns a recipe that does not read another file.

  Code of the user that a config names is named by its absolute path.

  Args:
    members: name -> config. The argument of the recipe is the name of a member;
      it has no argument for a single member.
    about: its docstring.
  """
  from jaxvision.configs import default

  known = _settings(default.get_config())
  settings = {name: _settings(config) for name, config in members.items()}
  first, *others = settings.values()
  common = {
    key: value
    for key, value in first.items()
    if all(each[key] == value for each in others)
  }
  lines = [
    f"  config.{key} = {_pretty(value, indent=2)}"
    for key, value in common.items()
    if known[key] != value
  ]
  own = {
    name: {key: value for key, value in each.items() if key not in common}
    for name, each in settings.items()
  }
  form, listed = (_SEVERAL, f"\nMEMBERS = {_pretty(own)}\n")
  if not others:
    form, listed = _ONE, ""
  body = form.format(first=next(iter(members)), common="\n".join(lines))
  docstring = about.replace("\\", "\\\\").replace('"""', "'''")
  return (
    f'"""{docstring}\n"""\n\nfrom jaxvision.configs import default\n'
    f"{listed}{body}"
  )


def _settings(config: Any) -> dict[str, Any]:
  """{"model.options": {...}, ...}: the values of all fixed keys."""
  return user_code.as_located(fixed_keys(config.to_dict()))


def _pretty(value: Any, *, indent: int = 0) -> str:
  """Python text of a value; a dictionary has a line for each key."""
  if not isinstance(value, Mapping) or not value:
    return repr(value)
  space = " " * indent
  lines = (
    f"{space}  {key!r}: {_pretty(each, indent=indent + 2)},\n"
    for key, each in value.items()
  )
  return f"{{\n{''.join(lines)}{space}}}"
