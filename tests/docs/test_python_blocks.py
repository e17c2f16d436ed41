"""The Python in the documents: its names and its config keys exist.

Blocks that stand alone are run by the tests of their pages.
"""

import ast
import importlib
import pathlib
import re
import types

import pytest

from jaxvision import config as configs
from jaxvision.configs import default

_ROOT = pathlib.Path(__file__).parents[2]
_PAGES = [*sorted((_ROOT / "docs").glob("*.md")), _ROOT / "README.md"]
_KEYS = {*configs.keys.TYPES} | {
  f"{group}.options"
  for group in ("task", "model", "loss", "optimizer", "schedule")
}


def _blocks():
  found = []
  for page in _PAGES:
    text = page.read_text("utf-8")
    for number, code in enumerate(
      re.findall(r"```python\n(.*?)```", text, re.S)
    ):
      found.append(pytest.param(code, id=f"{page.stem}-{number}"))
  return found


def _dotted(node):
  """ "a.b.c" of a chain of attributes that begins with a name, else None."""
  if isinstance(node, ast.Name):
    return node.id
  if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
    return f"{owner}.{node.attr}"
  return None


def _imported(tree):
  """{name: object} of what a block imports from jaxvision."""
  found = {}
  for node in ast.walk(tree):
    module = getattr(node, "module", None) or ""
    for each in getattr(node, "names", ()):
      if isinstance(node, ast.Import) and each.name.startswith("jaxvision"):
        importlib.import_module(each.name)
        found["jaxvision"] = importlib.import_module("jaxvision")
      elif isinstance(node, ast.ImportFrom) and module.startswith("jaxvision"):
        found[each.asname or each.name] = _member(module, each.name)
  return found


def _member(module, name):
  owner = importlib.import_module(module)
  if hasattr(owner, name):
    return getattr(owner, name)
  return importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize("code", _blocks())
def test_the_names_of_jaxvision_exist(code):
  tree = ast.parse(code)
  imported = _imported(tree)
  for node in ast.walk(tree):
    first, *rest = (_dotted(node) or "").split(".")
    value = imported.get(first)
    while rest and isinstance(value, types.ModuleType):
      assert hasattr(value, rest[0]), f"{value.__name__} has no {rest[0]}"
      value = getattr(value, rest.pop(0))


@pytest.mark.parametrize("code", _blocks())
def test_the_keys_of_configs_exist(code):
  """Of `config.KEY = value`, and of OVERRIDES and SPACE."""
  for node in ast.walk(ast.parse(code)):
    if not isinstance(node, ast.Assign):
      continue
    name = _dotted(node.targets[0]) or ""
    if name.startswith("config."):
      assert name.removeprefix("config.") in _KEYS, name
    elif name == "OVERRIDES":
      for key in map(ast.literal_eval, node.value.keys):
        assert key in _KEYS or key.partition(".options.")[1], key


def test_a_recipe_and_its_overrides_are_loaded(tmp_path, monkeypatch, capsys):
  """The blocks of docs/configs.md, in their order."""
  page = (_ROOT / "docs" / "configs.md").read_text("utf-8")
  recipe, use = re.findall(r"```python\n(.*?)```", page, re.S)
  (tmp_path / "my_recipe.py").write_text(recipe, "utf-8")
  monkeypatch.chdir(tmp_path)
  exec(use, {})
  assert capsys.readouterr().out == "0.001 {'hidden': (256, 256)}\n"
  assert configs.load("my_recipe.py", {}).model.options.hidden == (32,)
  usual = configs.flatten(default.get_config())
  found = configs.flatten(configs.load("my_recipe.py", {}))
  changed = {key for key, value in usual.items() if found[key] != value}
  assert changed == {
    *("model.name", "data.channels", "optimizer.name"),
    *("optimizer.learning_rate", "train.duration", "train.batch_size"),
  }
