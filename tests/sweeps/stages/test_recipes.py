"""A recipe of a network trains what the final stage trained."""

import shutil

import search_cases

from jaxvision import config as configs
from jaxvision import sweeps


def test_a_recipe_is_the_config_of_the_final_stage(tmp_path, monkeypatch):
  more = "CHILDREN = 2\nSEARCH_SEEDS = 1"
  asked = search_cases.write(tmp_path, more=more)
  workdir, recipe = tmp_path / "W", str(tmp_path / "recipe.py")
  definition = search_cases.run_search(workdir, sweeps.load_search(asked))
  paths = sweeps.write_recipes(workdir, definition)
  trials = search_cases.read_trials(workdir / "final")
  labels = list(dict.fromkeys(t["settings"]["network"] for t in trials))
  assert len(paths) == len(labels) == 2
  for path, label in zip(paths, labels, strict=True):
    own = [t for t in trials if t["settings"]["network"] == label]
    overrides = {k: v for k, v in own[0]["overrides"].items() if k != "seed"}
    expected = configs.load(recipe, overrides)
    # Neither the folder of the search nor the base recipe is needed.
    moved = tmp_path / "elsewhere" / path.name
    moved.parent.mkdir(exist_ok=True)
    shutil.copy(path, moved)
    monkeypatch.chdir(moved.parent)
    assert configs.load(path.name).to_dict() == expected.to_dict()
    text = path.read_text("utf-8")
    mean = sum(trial["value"] for trial in own) / 2
    assert f"mean {mean:.4g}, standard deviation" in text
    assert f"jaxvision train --config {path.name}" in text
