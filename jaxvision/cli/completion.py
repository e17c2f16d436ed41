"""The command `jaxvision completion`: a script that completes the commands."""

import argparse
from collections.abc import Sequence

from jaxvision.cli import parsing
from jaxvision.files import paths

_SHELLS = ("bash", "zsh", "fish")
# By name of an argument; other paths are completed as files.
_FOLDERS = ("data_dir", "logs", "out", "pictures", "workdir")
_PYTHON = ("config", "experiment")
_MODELS = ("model", "config.model.name")
_PATTERNS = ("jaxvision models", "jaxvision weights list")


def add(commands, parser: argparse.ArgumentParser) -> None:
  """Declares the command, which describes all commands of `parser`."""
  command = parsing.add(
    commands,
    "completion",
    _completion,
    "print a script with which a shell completes the commands",
    examples=(
      "completion bash > ~/.local/share/bash-completion/completions/jaxvision",
      "completion zsh > ~/.zfunc/_jaxvision",
      "completion fish > ~/.config/fish/completions/jaxvision.fish",
    ),
    note="The script completes commands, options, keys of configs, names of "
    "models, recipes and other files. It is for this version of jaxvision: "
    "write it again after an update.",
  )
  command.add_argument("shell", choices=_SHELLS, help="the shell")
  command.set_defaults(parser=parser)


def _completion(options: argparse.Namespace) -> None:
  import shtab

  from jaxvision import models
  from jaxvision.config import keys

  names = [*models.names(), *models.UNLISTED]
  for command in parsing.commands(options.parser):
    _add_keys(command, sorted(keys.TYPES))
    for action in command._actions:
      _describe(command.prog, action, names)
  print(shtab.complete(options.parser, options.shell))


def _add_keys(command: argparse.ArgumentParser, keys: Sequence[str]) -> None:
  """Declares --config.KEY of a command that has a config."""
  names = {action.dest for action in command._actions} | {*command._defaults}
  if "config" in names:
    for key in keys:
      command.add_argument(f"--config.{key}")


def _describe(
  prog: str, action: argparse.Action, models: Sequence[str]
) -> None:
  """Marks in an argument what its values are, for `shtab.complete`."""
  import shtab

  action.metavar = None  # zsh reads the colon in FILE.py[:ARGUMENT] as syntax
  names_models = action.dest == "pattern" and prog in _PATTERNS
  if action.dest in _MODELS or names_models:
    action.choices = models
  elif action.dest in _PYTHON:
    # zsh reads a single pattern in parentheses as a qualifier of files.
    action.complete = shtab.glob("*.py") | {"zsh": "_files -g '*.py'"}
  elif action.dest in _FOLDERS:
    action.complete = shtab.DIRECTORY
  elif action.type is paths.expanded:
    action.complete = shtab.FILE
