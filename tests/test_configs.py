"""Tests of configs/: recipes work, every key is documented and read."""

import ast
import importlib
import pathlib
import re

import jax
import pytest

from jaxvision import assembly, distributed, models
from jaxvision import config as configs
from jaxvision.configs import default

ROOT = pathlib.Path(__file__).parents[1]
RECIPES = {
  "digits.py": ("", ":linear", ":mlp", ":resnet", ":vit"),
  "folder.py": ("", ":path/to/images"),
}
OPTIONS = [
  f"{group}.options" for group in ("model", "loss", "optimizer", "schedule")
]
KEYS = [*configs.flatten(default.get_config().to_dict()), *OPTIONS]


def _all_recipes():
  return [
    f"configs/{name}{argument}"
    for name, arguments in RECIPES.items()
    for argument in arguments
  ]


def test_no_recipe_is_left_out():
  files = {path.name for path in (ROOT / "configs").glob("*.py")}
  assert files - {"__init__.py", "default.py"} == set(RECIPES)


def test_all_arguments_of_digits_are_here():
  digits = importlib.import_module("jaxvision.configs.digits")
  with pytest.raises(ValueError, match="it has") as caught:
    digits.get_config("no such model")
  listed = str(caught.value).split("it has ")[1].split(", ")
  assert {f":{name}" for name in listed} | {""} == set(RECIPES["digits.py"])


@pytest.mark.parametrize("recipe", _all_recipes())
def test_a_recipe_can_be_run(recipe, monkeypatch):
  """Model, optimizer, schedule and loss fit together, on abstract arrays."""
  monkeypatch.chdir(ROOT)
  config = configs.load(recipe)
  steps = assembly.durations(config, num_examples=1257)
  model = assembly.make_model(config, 10)
  schedule = assembly.make_schedule(config, steps)
  mesh = distributed.make_mesh()
  shape = (16, 16, config.data.channels)
  _, _, template = assembly.state_functions(
    config, model, schedule, shape, mesh
  )
  loss, _ = jax.eval_shape(
    assembly.make_task_loss(config, model),
    template.params,
    template.model_state,
    assembly.batch_template(config, shape, mesh),
    jax.eval_shape(jax.random.key, 0),
  )
  assert loss.shape == ()
  assert 0 < steps.evaluate <= steps.total
  assert float(schedule(steps.total)) <= config.optimizer.learning_rate


def test_the_defaults_are_locked():
  with pytest.raises(AttributeError, match="Did you mean"):
    default.get_config().sead = 1


def test_the_default_model_exists():
  assert default.get_config().model.name in models.names("*")


def _documented(source: str) -> set[str]:
  """The keys that an assignment gives a value to, below a comment.

  A comment may stand above several keys in a row.
  """
  found, is_commented = set(), False
  for line in map(str.strip, source.splitlines()):
    key = re.match(r"([a-z]+)\.([a-z_.0-9]+) = ", line)
    if key and is_commented:
      name = key[2] if key[1] == "config" else f"{key[1]}.{key[2]}"
      inside = re.search(r'ConfigDict\(\{"(\w+)"', line)
      found.add(f"{name}.{inside[1]}" if inside else name)
    is_commented = line.startswith("#") or bool(key and is_commented)
  return found


def test_every_key_has_a_comment_above_it():
  source = (ROOT / "configs" / "default.py").read_text("utf-8")
  assert set(KEYS) - _documented(source) == set()
  bare = re.sub(r"\n *#[^\n]*(?=\n *data.threads)", "\n", source)
  assert "data.threads" not in _documented(bare)


def _reads(source: str) -> set[str]:
  """The config keys that a source reads, as "section.key".

  Understood are config.section.key, data_config.key, the same of a name that
  was assigned config.section, and config.section[name] in a function that
  writes the possible names out.
  """
  tree = ast.parse(source)
  found = set()
  for scope in ast.walk(tree):
    if isinstance(scope, ast.FunctionDef):
      found |= _reads_of_function(scope)
  return found


def _reads_of_function(function: ast.FunctionDef) -> set[str]:
  nodes = list(ast.walk(function))
  aliases = {}
  for node in nodes:
    if isinstance(node, ast.Assign):
      aliases |= _aliases(node.targets[0], node.value)
  constants = {n.value for n in nodes if isinstance(n, ast.Constant)}
  found = set()
  for node in nodes:
    if isinstance(node, ast.Attribute):
      section = _section(node.value, aliases)
      found.add(f"{section}.{node.attr}" if section else node.attr)
      if not _is_config(node.value):
        found.discard(node.attr)
    if isinstance(node, ast.Subscript):
      section = _section(node.value, aliases)
      if section:
        found |= {f"{section}.{name}" for name in constants}
  return found


def _aliases(target: ast.expr, value: ast.expr) -> dict[str, str]:
  if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
    pairs = zip(target.elts, value.elts, strict=False)
    return {k: v for pair in pairs for k, v in _aliases(*pair).items()}
  section = _section(value, {})
  if section and isinstance(target, ast.Name):
    return {target.id: section}
  return {}


def _is_config(node: ast.expr) -> bool:
  name = getattr(node, "id", getattr(node, "attr", None))
  return name == "config"


def _section(node: ast.expr, aliases: dict[str, str]) -> str | None:
  if isinstance(node, ast.Name):
    if node.id.endswith("_config"):
      return node.id.removesuffix("_config")
    return aliases.get(node.id)
  if isinstance(node, ast.Attribute) and _is_config(node.value):
    return node.attr
  return None


def test_reads_are_found_in_every_form():
  source = """
def f(config, data_config, parts):
  train = parts.config.train
  for role in ("validation", "test"):
    config.data[role]
  model.width, other.optimizer.name
  return config.seed, data_config.kind, config.loss.l1, train.batch_size
"""
  assert _reads(source) - {"data.data", "train.train"} == {
    *("seed", "data.kind", "loss.l1", "train.batch_size"),
    *("data.validation", "data.test"),
    *("data", "loss", "train"),
  }


def test_every_key_is_read():
  found = set()
  for path in (ROOT / "jaxvision").rglob("*.py"):
    if path.name != "config.py":
      found |= _reads(path.read_text("utf-8"))
  assert [key for key in KEYS if key not in found] == []
