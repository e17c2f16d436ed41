"""A search runs its two stages, and continues after a stop at any point."""

import json
import pathlib

import pytest
import search_cases

from jaxvision import sweeps
from jaxvision.runs import search_folder


def _networks(workdir):
  return json.loads((workdir / "final" / "networks.json").read_text())


def _values(workdir):
  """{folder: values of its trials}, and each trial must be complete."""
  found = {}
  for folder in sorted(workdir.glob("*/sweep.json")):
    trials = search_cases.read_trials(folder.parent)
    assert {trial["state"] for trial in trials} == {"complete"}
    found[folder.parent.name] = [trial["value"] for trial in trials]
  return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """The folder of a search that nothing interrupted."""
  folder = tmp_path_factory.mktemp("search")
  definition = sweeps.load_search(search_cases.write(folder))
  search_cases.run_search(folder / "W", definition)
  return folder / "W"


def test_the_best_child_of_each_searcher_is_trained_again(finished):
  networks = _networks(finished)
  assert list(networks) != [] and set(networks) == {
    "evolution(population=3, sample=2)",
    "random",
  }
  for label, network in networks.items():
    name = search_folder.file_name(label)
    trials = [
      trial
      for seed in (0, 1)
      for trial in search_cases.read_trials(finished / f"{name}-{seed}")
    ]
    best = max(trials, key=lambda each: each["value"])
    assert network["overrides"] == best["settings"]
    assert network["proxy"] == pytest.approx(best["value"], abs=2e-3)
  final = search_cases.read_trials(finished / "final")
  assert [(t["settings"]["network"], t["settings"]["seed"]) for t in final] == [
    (label, seed) for label in networks for seed in (0, 1)
  ]
  for trial in final:
    assert trial["overrides"]["model.options.channels"] == 4
    assert trial["overrides"]["train.duration"] == "8 steps"
    assert trial["value"] == search_cases.value_of(trial["overrides"])


def test_a_search_over_folds_trains_its_networks_without_them(tmp_path):
  """The value of a child is its mean; the final stage has the usual splits."""
  more = (
    'SPACE["fold"] = sweep.folds(2)\n'
    "SEARCHERS = ('random',)\nSEARCH_SEEDS = 1\nCHILDREN = 3\n"
  )
  definition = sweeps.load_search(search_cases.write(tmp_path, more=more))
  search_cases.run_search(tmp_path / "W", definition)
  trials = search_cases.read_trials(tmp_path / "W" / "random-0")
  assert [t["overrides"]["data.fold"] for t in trials] == [0, 1] * 3
  arch = [t["overrides"][search_cases.ARCH] for t in trials]
  assert arch[::2] == arch[1::2] and len(set(arch)) == 3
  (network,) = _networks(tmp_path / "W").values()
  assert list(network["overrides"]) == [search_cases.ARCH]
  for trial in search_cases.read_trials(tmp_path / "W" / "final"):
    assert not {"data.fold", "data.folds"} & set(trial["overrides"])


@pytest.mark.parametrize("period", [7, pytest.param(3, marks=pytest.mark.slow)])
def test_a_search_that_stops_again_and_again_equals_one_that_does_not(
  tmp_path, finished, period
):
  path = search_cases.write(tmp_path)
  calls, seen = 0, []

  def run(recipe, *, workdir, overrides, watch):
    nonlocal calls
    calls += 1
    if calls % (period + 1) == 0:
      raise search_cases.Stopped
    seen.append(workdir)
    return search_cases.run(
      recipe, workdir=workdir, overrides=overrides, watch=watch
    )

  while True:
    try:
      # Another process would load the file again.
      definition = sweeps.load_search(path)
      search_cases.run_search(tmp_path / "W", definition, runner=run)
      break
    except search_cases.Stopped:
      pass
  assert len(seen) == len(set(seen)) == 24
  assert _values(tmp_path / "W") == _values(finished)
  assert _networks(tmp_path / "W") == _networks(finished)


_CHOSEN = """
def final(ended):
  best = sweep.ranked_children(ended, sign=1)[0]
  assert best.value == max(each.value for each in ended)
  assert {each.seed for each in ended} == {0, 1} and len(ended) == 20
  assert set(best.overrides) == {"model.options.arch"}
  hand_made = {"model.options.arch": "|none~0|+|none~0|none~1|+|none~0|none~1|"
    "nor_conv_1x1~2|", "model.options.channels": 8}
  return {"best": best.overrides, "hand-made": hand_made}
"""


def test_the_file_names_the_networks_and_they_stay(tmp_path):
  path = search_cases.write(tmp_path, more=_CHOSEN)
  search_cases.run_search(tmp_path / "W", sweeps.load_search(path))
  chosen = _networks(tmp_path / "W")
  assert list(chosen) == ["best", "hand-made"]
  assert chosen["hand-made"]["proxy"] is None
  assert len(chosen["best"]["children"]) >= 1
  # A worker that joins later may have a newer function.
  path = search_cases.write(tmp_path, more="def final(ended): return {}")
  search_cases.run_search(tmp_path / "W", sweeps.load_search(path))
  assert _networks(tmp_path / "W") == chosen
  channels = {
    trial["settings"]["network"]: trial["overrides"]["model.options.channels"]
    for trial in search_cases.read_trials(tmp_path / "W" / "final")
  }
  assert channels == {"best": 4, "hand-made": 8}


@pytest.mark.parametrize(
  ("returned", "message"),
  [
    ("{}", "at least one network"),
    ("[1]", "expected a dictionary"),
    ("{'a b': {}, 'a_b': {}}", "must be different"),
    ("{'a': {'model.optoins.arch': 1}}", "did you mean"),
  ],
)
def test_wrong_networks_are_explained_and_a_correction_continues(
  tmp_path, returned, message
):
  few = "CHILDREN = 1\nSEARCH_SEEDS = 1\nSEARCHERS = ('random',)\n"
  more = f"{few}def final(ended): return {returned}"
  path = search_cases.write(tmp_path, more=more)
  with pytest.raises(ValueError, match=message):
    search_cases.run_search(tmp_path / "W", sweeps.load_search(path))
  path = search_cases.write(tmp_path, more=few)
  search_cases.run_search(tmp_path / "W", sweeps.load_search(path))
  assert list(_networks(tmp_path / "W")) == ["random"]


def test_a_search_without_a_complete_child_fails(tmp_path):
  path = search_cases.write(tmp_path, more="CHILDREN = 1")

  def fail(recipe, *, workdir, overrides, watch):
    return sweeps.Outcome("failed", "diverged")

  with pytest.raises(sweeps.Failed, match="ended with: diverged"):
    search_cases.run_search(
      tmp_path / "W", sweeps.load_search(path), runner=fail
    )


def test_children_that_stop_early_have_no_value(tmp_path):
  more = "CHILDREN = 6\nSEARCHERS = ('random',)\nPRUNING = sweep.halving(2)\n"
  more += "def final(ended):\n"
  more += "  assert {each.state for each in ended} == {'complete', 'pruned'}\n"
  more += "  assert all((each.value is None) == (each.state == 'pruned')\n"
  more += "             for each in ended)\n"
  more += "  return {'best': sweep.ranked_children(ended, sign=1)[0].overrides}"
  path = search_cases.write(tmp_path, more=more)
  search_cases.run_search(tmp_path / "W", sweeps.load_search(path))
  assert list(_networks(tmp_path / "W")) == ["best"]


def test_the_viewer_follows_both_stages_and_chooses_nothing(tmp_path, capsys):
  path = search_cases.write(tmp_path, more="CHILDREN = 2\nSEARCH_SEEDS = 1")
  workdir = tmp_path / "W"
  definition = sweeps.claim_search(workdir, sweeps.load_search(path))
  access = {"storage": "", "grace": 30}
  with sweeps.open_search_view(workdir, definition, **access) as look:
    for opened in search_cases.each_sweep(workdir, definition):
      assert not look()
      sweeps.work(opened, search_cases.run, interrupted=search_cases.Stopped)
      over = look()
    assert over and look()
  printed = capsys.readouterr().out
  assert "search 2 of 2: random-0" in printed and "final stage: " in printed


def test_a_folder_of_another_search_is_refused(tmp_path, finished):
  more = "CHILDREN = 6"
  other = sweeps.load_search(search_cases.write(tmp_path, more=more))
  with pytest.raises(ValueError, match="belongs to another search") as error:
    sweeps.claim_search(finished, other)
  assert "children: 5 there, 6 here" in str(error.value)
  with pytest.raises(ValueError, match="is the folder of a sweep or a run"):
    sweeps.claim_search(finished / "random-0", other)


def test_all_sweeps_have_the_code_of_the_start(tmp_path, caplog):
  path = search_cases.write(tmp_path, more="CHILDREN = 1\nSEARCH_SEEDS = 1")
  workdir, recipe = tmp_path / "W", tmp_path / "recipe.py"
  before = recipe.read_text("utf-8")
  definition = sweeps.claim_search(workdir, sweeps.load_search(path))
  opened = next(search_cases.each_sweep(workdir, definition))
  sweeps.work(opened, search_cases.run, interrupted=search_cases.Stopped)
  recipe.write_text(before + "# changed\n", "utf-8")
  search_cases.run_search(workdir, sweeps.load_search(path))
  copies = list(pathlib.Path(workdir).glob("*/code/recipe/recipe.py"))
  assert len(copies) == 3
  assert {each.read_text("utf-8") for each in copies} == {before}
  assert "has changed since the start" in caplog.text
