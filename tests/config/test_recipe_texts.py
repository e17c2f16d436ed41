"""A recipe that is written as text has the same config."""

import pathlib

import pytest

from jaxvision import config as configs

_FOLDER = pathlib.Path(__file__).parents[2] / "configs"
_RECIPES = sorted(
  path.name for path in _FOLDER.glob("*.py") if path.stem != "__init__"
)
_OWN = """
import flax.linen as nn

def create(*, num_classes):
  return nn.Dense(num_classes)
"""


@pytest.mark.parametrize("name", _RECIPES)
def test_each_recipe_survives(name, tmp_path):
  config = configs.load(str(_FOLDER / name))
  path = tmp_path / "written.py"
  path.write_text(configs.write_recipe({"one": config}, about='A "x" \\ y.'))
  assert configs.load(str(path)).to_dict() == config.to_dict()


def test_each_member_survives(tmp_path):
  recipe = str(_FOLDER / "mnist.py")
  members = {n: configs.load(f"{recipe}:{n}") for n in ("mlp", "vit", "resnet")}
  path = tmp_path / "written.py"
  path.write_text(configs.write_recipe(members, about="Three networks."))
  for name, config in members.items():
    assert configs.load(f"{path}:{name}").to_dict() == config.to_dict()
  assert configs.load(str(path)).to_dict() == members["mlp"].to_dict()
  with pytest.raises(ValueError, match="no member 'mpl'; use one of mlp, vit"):
    configs.load(f"{path}:mpl")


def test_own_code_is_found_from_another_folder(tmp_path, monkeypatch):
  (tmp_path / "own.py").write_text(_OWN)
  monkeypatch.chdir(tmp_path)
  given = {"model.name": "own.py:create", "model.options": {}}
  config = configs.load(str(_FOLDER / "digits.py:mlp"), given)
  text = configs.write_recipe({"own": config}, about="Own code.")
  assert f"{tmp_path / 'own.py'}:create" in text
  other = tmp_path / "other"
  other.mkdir()
  (other / "written.py").write_text(text)
  monkeypatch.chdir(other)
  loaded = configs.load("written.py")
  assert loaded.optimizer == config.optimizer
  assert loaded.model.name.endswith(":create")
