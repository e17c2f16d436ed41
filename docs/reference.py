"""The generated pages of the site: config keys, commands and the package."""

import ast
import importlib
import inspect
import json
import os
import pathlib
import re
import types
from collections.abc import Iterator
from typing import Any

import docstrings

from jaxvision import config as configs
from jaxvision.cli import parsing
from jaxvision.cli.main import make_parser
from jaxvision.configs import default
from jaxvision.lookup import options

FOLDER = "reference"
# The search lists a key before the pages that use it.
_FIRST = "---\nsearch:\n  boost: 2\n---"
# "  optimizer.name = ...", "  config.train.duration = ...", and the key of
# "  config.ema = ConfigDict({"decay": 0.0})".
_ASSIGNMENT = re.compile(
  r'  (?:config\.)?(\w+(?:\.\w+)?) = (?:ConfigDict\({"(\w+)": )?'
)


def pages(root: pathlib.Path) -> dict[str, str]:
  """{path: Markdown} of all generated pages.

  Args:
    root: the folder of the repository.
  """
  source = (root / "configs" / "default.py").read_text("utf-8")
  rooms = {
    path.parent.name: path for path in root.glob("jaxvision/*/__init__.py")
  }
  rooms |= {path.stem: path for path in root.glob("jaxvision/[!_]*.py")}
  return {
    f"{FOLDER}/config.md": config_page(source),
    f"{FOLDER}/commands.md": commands_page(),
    f"{FOLDER}/jaxvision.md": package_page(root / "jaxvision", rooms),
    **{
      f"{FOLDER}/jaxvision.{name}.md": room_page(f"jaxvision.{name}")
      for name in sorted(rooms)
    },
  }


def commands_page() -> str:
  """The help of every command."""
  os.environ["COLUMNS"] = "80"  # the width of a help, for argparse
  parts = [
    f"## {parser.prog}\n\n```text\n{parser.format_help()}```"
    for parser in parsing.commands(make_parser())
  ]
  return "\n\n".join(["# Commands and options", *parts])


def config_page(source: str) -> str:
  """Every key: its type and range, its default, and the comment above it.

  Args:
    source: the text of configs/default.py.
  """
  values = configs.flatten(default.get_config())
  parts, group = [_FIRST, "# Config keys", _about(source)], ""
  for names, comment in _entries(source):
    first = names[0].partition(".")[0]
    if first != group:
      group = first
      parts.append(f"## {group}")
    parts += [_key(name, values.get(name)) for name in names]
    parts.append(comment)
  return "\n\n".join(parts)


def _entries(source: str) -> Iterator[tuple[list[str], str]]:
  """The keys with the comment above them; some keys share one."""
  comment, names = [], []
  for line in source.splitlines():
    if line.startswith("  # "):
      if names:
        yield names, " ".join(comment)
        comment, names = [], []
      comment.append(line.removeprefix("  # "))
    elif found := _ASSIGNMENT.match(line):
      name = ".".join(filter(None, found.groups()))
      names += [name] * (
        name in configs.keys.TYPES or name.endswith(".options")
      )
  yield names, " ".join(comment)


def _key(name: str, value: object) -> str:
  expected = configs.keys.TYPES.get(name)
  form = options.describe(expected) if expected else "options by name"
  return f"### `{name}`\n\n{form}; default `{value!r}`"


def package_page(folder: pathlib.Path, rooms: dict[str, pathlib.Path]) -> str:
  """The list of the rooms with the first sentence of each."""
  lines = [
    f"- [`jaxvision.{name}`](jaxvision.{name}.md): {_summary(path)}"
    for name, path in sorted(rooms.items())
  ]
  about = _about((folder / "__init__.py").read_text("utf-8"))
  return "\n\n".join(["# The package", about, "\n".join(lines)])


def _about(source: str) -> str:
  """The docstring of a module."""
  return docstrings.to_markdown(ast.get_docstring(ast.parse(source)))


def _summary(path: pathlib.Path) -> str:
  about = _about(path.read_text("utf-8"))
  return about.partition("\n\n")[0].replace("\n", " ")


def room_page(name: str) -> str:
  """The page of a room: its door, and the modules that the door lists."""
  return "\n\n".join([f"# {name}", *_sections(name, level=2)])


def _sections(name: str, *, level: int) -> Iterator[str]:
  """What mkdocstrings shall render of a module: what its `__all__` lists."""
  module = importlib.import_module(name)
  if not hasattr(module, "__all__"):
    yield _render(name, heading_level=level)
    return
  yield _render(name, members=False)
  listed = [_member(module, each) for each in module.__all__]
  for each in filter(_is_own, listed):
    # Where it is defined: an import that is delayed cannot be followed.
    path = f"{each.__module__}.{each.__qualname__}"
    yield _render(path, heading_level=level, show_root_heading=True)
  for each in filter(inspect.ismodule, listed):
    yield f"## {each.__name__}"
    yield from _sections(each.__name__, level=3)


def _member(module: types.ModuleType, name: str) -> Any:
  """What a door lists: a name in it, or a module that it has not imported."""
  if hasattr(module, name):
    return getattr(module, name)
  return importlib.import_module(f"{module.__name__}.{name}")


def _is_own(value: Any) -> bool:
  documented = inspect.isfunction(value) or inspect.isclass(value)
  return documented and value.__module__.startswith("jaxvision.")


def _render(path: str, **settings: Any) -> str:
  """An instruction of mkdocstrings, which takes its settings as YAML."""
  lines = [f"      {key}: {json.dumps(each)}" for key, each in settings.items()]
  return "\n".join([f"::: {path}", "    options:", *lines])
