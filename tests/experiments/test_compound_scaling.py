"""The study of compound scaling: its files, its verdicts, and a short study."""

import pathlib
import re

import experiment_scripts
import fake_sweeps
import numpy as np
import pytest
import tiny_runs

from jaxvision import cli, sweeps
from jaxvision import config as configs
from jaxvision.files import read_json, write_json
from jaxvision.sweeps.search.compound_scaling import Scaling

_DEFINITION = """
BASE = {recipe!r}
OVERRIDES = {{
  "data.num_classes": 3,
  "data.test": "validation",
  "train.duration": "2 steps",
  "log.tensorboard": False,
}}

def image_size(resolution):
  return round(8 * resolution)

def scale(depth, width, resolution):
  resize = (f"resize({{image_size(resolution)}})",)
  return {{
    "model.options.hidden": (round(10 * width),) * round(4 * depth),
    "data.train_transforms": resize,
    "data.eval_transforms": resize,
  }}
"""
# A grid in which some networks of an mlp have twice the cost.
_GRID = ("--band", "0.1", "--step", "0.5")
_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def study():
  return experiment_scripts.load("compound_scaling.py")


@pytest.fixture
def definition(study, tmp_path):
  """An mlp of 4 layers of 10 features for 8x8 pixels, to scale."""
  tiny_runs.write_data(tmp_path, sizes={"train": 32, "validation": 32})
  tiny_runs.load_config(tmp_path)
  path = tmp_path / "definition.py"
  path.write_text(_DEFINITION.format(recipe=str(tmp_path / "recipe.py")))
  return path


def _macs(depth, width, resolution):
  """The closed form: all pairs of features of adjacent layers."""
  layers, features = round(4 * depth), round(10 * width)
  pixels = round(8 * resolution) ** 2
  return pixels * features + (layers - 1) * features**2 + 3 * features


def test_costs_are_counted_from_the_config(study, definition):
  opened = study.compound_networks.open_definition(definition)
  macs = study.compound_networks.count_macs(opened)
  for factors in ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.3, 1.2)):
    assert macs(*factors) == _macs(*factors)


def test_equal_networks_are_identified(study, definition):
  opened = study.compound_networks.open_definition(definition)
  scalings = Scaling(1.2), Scaling(1.3), Scaling(1.4), Scaling(1.0, 1.0, 1.2)
  first, same, deeper, sharper = (
    study.compound_networks.identify(opened, each) for each in scalings
  )
  assert first == same
  assert len({first, deeper, sharper}) == 3


def test_the_definition_of_the_documents_scales_a_vit(
  study, tmp_path, monkeypatch
):
  page = (_ROOT / "docs" / "sweeps.md").read_text("utf-8")
  (block,) = re.findall(r"```python\n(BASE =.*?def scale.*?)```", page, re.S)
  path = tmp_path / "definition.py"
  path.write_text(block)
  monkeypatch.chdir(_ROOT)
  opened = study.compound_networks.open_definition(path)
  base = configs.load(opened.BASE, opened.OVERRIDES)
  load = study.compound_networks.load_config
  same = load(opened, Scaling())
  assert same.data.to_dict() == base.data.to_dict()
  larger = load(opened, Scaling(1.2, 1.1, 1.15))
  assert larger.model.options["depth"] == 14
  assert larger.model.options["width"] == 448
  assert larger.data.eval_transforms[1] == "center_crop(256)"


@pytest.mark.parametrize(
  ("old", "new", "message"),
  [
    ('"data.num_classes": 3,', "", "set it in OVERRIDES"),
    ("def scale(", "def scaled(", "lacks scale"),
  ],
)
def test_incomplete_definitions_are_refused(
  study, definition, tmp_path, old, new, message
):
  definition.write_text(definition.read_text().replace(old, new))
  with pytest.raises(ValueError, match=message):
    study.main(["grid", str(tmp_path), "--definition", str(definition)])


def test_the_grid_is_an_experiment(study, definition, tmp_path, capsys):
  words = ["grid", str(tmp_path), "--definition", str(definition), *_GRID]
  study.main(words)
  plan = read_json(tmp_path / "grid.json")
  for network in plan.values():
    assert network["macs"] == _macs(**network["scaling"])
    ratio = network["macs"] / _macs(1, 1, 1)
    assert abs(ratio - 2) <= 0.1
  experiment = sweeps.load(tmp_path / "grid.py")
  planned = sweeps.plan(experiment.space, searcher="grid", draws=1)
  assert len(planned) == 2 * len(plan) > 2
  assert capsys.readouterr().out.count("MMACs") == len(plan)


def test_a_member_of_the_family_has_the_config_of_its_scaling(
  study, definition, tmp_path
):
  networks = study.compound_networks
  opened = networks.open_definition(definition)
  members = {"phi0": Scaling(), "phi1": Scaling(1.5, 1.2, 1.25)}
  path = tmp_path / "family.py"
  path.write_text(networks.family_text(opened, members, about="A family."))
  (tmp_path / "recipe.py").unlink()  # It does not need the base config.
  for name, scaling in members.items():
    made = configs.load(f"{path}:{name}").to_dict()
    tiny_runs.load_config(tmp_path)
    assert made == networks.load_config(opened, scaling).to_dict()
  with pytest.raises(ValueError, match="use one of phi0, phi1"):
    configs.load(f"{path}:phi9")


def _rows(study, ahead, macs=100):
  """A member with 90 % in three seeds, and dimensions behind it by points."""
  figures = study.compound_figures
  compound = figures.Row(
    "phi 1: compound", Scaling(), 100, np.zeros(3), np.full(3, 0.9)
  )
  return [
    compound,
    *(
      figures.Row(
        f"phi 1: {name}",
        Scaling(),
        macs,
        np.zeros(3),
        0.9 - np.array(points) / 100,
      )
      for name, points in zip(figures.DIMENSIONS, ahead, strict=True)
    ),
  ]


@pytest.mark.parametrize(
  ("ahead", "macs", "verdict"),
  [
    # The half-width of (1, 2, 3) is 2.5 points, that of (3, 4, 5) too.
    (((3, 4, 5), (3, 4, 5), (3, 4, 5)), 100, "holds"),
    (((3, 4, 5), (1, 2, 3), (3, 4, 5)), 100, "not shown: no difference fr"),
    (((3, 4, 5), (1, 2, 3), (-3, -4, -5)), 100, "reversed: behind resolution"),
    (((3, 4, 5), (3, 4, 5), (3, 4, 5)), 116, "not comparable: no depth, w"),
  ],
)
def test_the_verdict_needs_all_dimensions(study, ahead, macs, verdict):
  found = study.compound_figures.judge(_rows(study, ahead, macs))
  assert found["phi 1"].startswith(verdict)


def test_the_best_of_the_grid_has_the_largest_objective(study):
  """The largest accuracy, 80 %, is not worth 5 % of the cost."""
  plan = {
    "a": {"scaling": {"depth": 2.0, "width": 1.0, "resolution": 1.0}},
    "b": {"scaling": {"depth": 1.0, "width": 1.25, "resolution": 1.0}},
  }
  costs, accuracies = (1050, 1000), (0.801, 0.800)
  rows = [
    study.compound_figures.Row(
      label, Scaling(**each["scaling"]), cost, np.full(2, top1), np.zeros(2)
    )
    for (label, each), cost, top1 in zip(
      plan.items(), costs, accuracies, strict=True
    )
  ]
  best = study.compound_figures.best(rows, target=1000)
  assert best.label == "b"
  first = study.compound_figures.grid_table(rows, target=1000).splitlines()[2]
  assert first == "| 1 | 1.25 | 1 | 0.00 | 80.00% | 0.8000 |"


def test_unfinished_sweeps_are_refused(study, tmp_path):
  trials = [
    {"settings": {"scaling": "a", "seed": 0}, "state": "failed", "value": None}
  ]
  workdir = fake_sweeps.write(tmp_path / "grid", trials)
  network = {"scaling": {"depth": 2.0}, "macs": 7}
  with pytest.raises(ValueError, match="failed; finish the sweep first"):
    study.read_rows(workdir, {"a": network})


def test_the_answer_is_read_from_the_comparison(study, tmp_path, capsys):
  """Compound is 3 to 5 points ahead of each dimension, in three seeds."""
  networks = {"phi 0: base": (1.0, 1.0, 1.0, 500, 0.5)}
  networks["phi 1: compound"] = (1.2, 1.1, 1.15, 1000, 0.9)
  for name in study.compound_figures.DIMENSIONS:
    networks[f"phi 1: {name}"] = (1.4, 1.0, 1.0, 1010, 0.86)
  plan, trials = {}, []
  for label, (*factors, macs, value) in networks.items():
    scaling = dict(zip(study.compound_figures.DIMENSIONS, factors, strict=True))
    plan[label] = {"scaling": scaling, "macs": macs}
    for seed in (2, 0, 1):
      behind = 0.01 * (seed - 1) if macs == 1010 else 0.0
      settings = {"scaling": label, "seed": seed}
      trials.append({"settings": settings, "value": value - behind})
  write_json(tmp_path / "comparison.json", plan)
  fake_sweeps.write(tmp_path / "comparison", trials)
  study.main(["figures", str(tmp_path)])
  lines = capsys.readouterr().out.splitlines()
  assert lines[3] == (
    "| phi 1: compound | depth 1.2, width 1.1, resolution 1.15 | 0.00 "
    "| 89.00% ± 0.00 |  |"
  )
  assert lines[4].endswith("| 85.00% ± 2.48 | +4.00 ± 2.48 |")
  assert lines[7] == "phi 1: holds"
  for name in ("single_dimensions", "compound_scaling"):
    assert (tmp_path / f"{name}.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_study_runs(study, definition, tmp_path, monkeypatch, capsys):
  """All five commands of the header."""
  monkeypatch.setattr(study, "COMPARED", 2)
  folder, words = tmp_path / "study", ["--definition", str(definition)]
  study.main(["grid", str(folder), *words, *_GRID, "--seeds", "1"])
  grid = folder / "grid"
  assert cli.main(["sweep", f"{grid}.py", "--workdir", str(grid)]) == 0
  study.main(["family", str(folder), *words, "--seeds", "2"])
  comparison = folder / "comparison"
  plan = read_json(f"{comparison}.json")
  assert len(plan) == 1 + 4
  words = ["sweep", f"{comparison}.py", "--workdir", str(comparison)]
  assert cli.main(words) == 0
  capsys.readouterr()
  study.main(["figures", str(folder)])
  lines = capsys.readouterr().out.splitlines()
  assert lines[2].startswith("| phi 0: base | depth 1, width 1, resolution 1 |")
  assert lines[7].startswith("phi 1: ")
  for name in ("single_dimensions", "compound_scaling"):
    assert (folder / f"{name}.png").stat().st_size > 5000
  words = ["--config", f"{folder / 'family.py'}:phi3"]
  run = str(tmp_path / "run")
  assert cli.main(["train", *words, "--workdir", run]) == 0
