"""The folder of a search: children, states, names, damaged files."""

import json

import fake_sweeps
import pytest
import search_cases

from jaxvision.runs import search_folder, sweep_folder


def _children(folder, trials, *, searcher="random", draws=None):
  folder.mkdir()
  definition = {
    "question": "",
    "read": "",
    "recipe": "r.py",
    "study": "s",
    "overrides": {},
    "searcher": searcher,
    "trials": len(trials),
    "objective": {"metric": "m", "goal": "maximize", "at": "last"},
    **({"draws": draws} if draws else {}),
  }
  (folder / "sweep.json").write_text(json.dumps(definition))
  for number, (width, seed, state, value) in enumerate(trials):
    run = folder / "trials" / f"{number:04d}"
    run.mkdir(parents=True)
    settings = {"width": width, "seed": seed}
    facts = {"number": number, "state": state, "value": value}
    facts |= {"settings": settings, "overrides": settings}
    (run / "trial.json").write_text(json.dumps(facts))
  return search_folder.children(sweep_folder.read_sweep(folder))


def test_the_seeds_of_a_draw_are_one_child(tmp_path):
  trials = [
    *((8, 0, "complete", 0.5), (8, 1, "complete", 0.7)),
    # The same settings again are another child.
    *((8, 0, "complete", 0.5), (8, 1, "complete", 0.7)),
    *((4, 0, "complete", 0.1), (4, 1, "failed", None)),
    *((2, 0, "pruned", 0.2), (2, 1, "complete", 0.3)),
    *((1, 0, "complete", 0.2), (1, 1, "running", None)),
  ]
  found = _children(tmp_path / "s", trials, draws=5)
  assert [(c.number, c.state, c.value) for c in found] == [
    (0, "complete", pytest.approx(0.6)),
    (1, "complete", pytest.approx(0.6)),
    (2, "failed", None),
    (3, "pruned", None),
    (4, "running", None),
  ]
  assert [child.settings for child in found[:2]] == [{"width": 8}] * 2


@pytest.mark.parametrize(("searcher", "draws"), [("grid", 20), ("tpe", None)])
def test_a_grid_has_a_child_for_each_setting(tmp_path, searcher, draws):
  trials = [
    (width, seed, "complete", width / 10) for width in (1, 2) for seed in (0, 1)
  ]
  found = _children(tmp_path / "s", trials, searcher=searcher, draws=draws)
  assert [child.value for child in found] == [0.1, 0.2]


@pytest.mark.parametrize(
  ("text", "name"),
  [
    ("controller", "controller"),
    (
      "evolution(population=50, sample=10)",
      "evolution_population=50_sample=10",
    ),
    ("phi 1: compound", "phi_1_compound"),
    ("../../etc", "etc"),
    ("...", ""),
  ],
)
def test_names_of_files_are_safe(text, name):
  assert search_folder.file_name(text) == name


def test_an_unfinished_search_is_read(tmp_path):
  searches = {"random-0": [{"settings": {"a": 1}, "value": 0.5}], "tpe-0": []}
  found = search_folder.read_search(
    search_cases.write_folder(tmp_path / "W", searches)
  )
  assert [part.sweep is None for part in found.parts] == [False, True]
  assert found.final is None and found.networks == {}
  assert (found.metric, found.sign) == (search_cases.METRIC, 1)


def test_other_folders_and_damaged_files_are_explained(tmp_path):
  assert not search_folder.is_search(tmp_path)
  with pytest.raises(FileNotFoundError, match="is not a search"):
    search_folder.read_search(tmp_path)
  workdir = search_cases.write_folder(tmp_path / "W", {}, final={"a": [1.0]})
  networks = workdir / "final" / "networks.json"
  networks.write_text('{"a": {"overrides": 5, "children": []}}')
  with pytest.raises(ValueError, match=r"networks.json is damaged.*a\.overrid"):
    search_folder.read_search(workdir)
  content = json.loads((workdir / "search.json").read_text())
  content["objective"]["goal"] = "win"
  (workdir / "search.json").write_text(json.dumps(content))
  with pytest.raises(ValueError, match="its goal is 'win'"):
    search_folder.read_search(workdir)


def test_the_folds_of_a_draw_are_one_child(tmp_path):
  rows = [
    fake_sweeps.folded({"width": width, "seed": seed}, fold, width + fold)
    for width in (1, 2)
    for fold in range(3)
    for seed in (0, 1)
  ]
  folder = fake_sweeps.write(tmp_path / "s", rows)
  found = search_folder.children(sweep_folder.read_sweep(folder))
  assert [(c.number, c.value, len(c.trials)) for c in found] == [
    (0, 2.0, 6),
    (1, 3.0, 6),
  ]
  assert [child.settings for child in found] == [{"width": 1}, {"width": 2}]
