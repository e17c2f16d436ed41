"""Searchers propose points of spaces: conditional ones, cells, templates."""

import pytest

from jaxvision import genotypes, sweeps
from jaxvision.sweeps import search
from jaxvision.sweeps.experiment import proposals, searchers, space

_NESTED = {
  "optimizer": sweeps.categorical(
    {
      "sgd": {"optimizer.momentum": sweeps.categorical(0.0, 0.9)},
      "adam": {},
    }
  ),
  "ema.decay": sweeps.categorical(0.9, 0.99),
}
_CELLS = {"model.options.arch": sweeps.cells("nasbench201")}
_EVOLUTION = "evolution(population=100)"


def _run(asked, count):
  children = []
  for _ in range(count):
    children.append(proposals.propose(asked, {}, [], children))
  return children


def _open(asked, searcher=_EVOLUTION, seed=0):
  return proposals.open_search(asked, searcher=searcher, seed=seed)


def test_choices_that_do_not_exist_make_no_new_child():
  """The space has six points, of which two have no momentum."""
  asked = _open(_NESTED)
  points = []
  for child in _run(asked, 6):
    labels = proposals.labels(asked, child.picks)
    points.append(space.resolve(_NESTED, lambda n, _, p=labels: p[n]).picks)
  assert len({tuple(each.items()) for each in points}) == 6
  assert space.size(_NESTED) == 6


def test_equivalent_cells_are_one_child():
  known = genotypes.create("nasbench201")
  asked = _open(_CELLS)
  axis = _CELLS["model.options.arch"]
  picks = {}
  for child in _run(asked, 300):
    labels = proposals.labels(asked, child.picks)
    labels = {
      k.removeprefix("model.options.arch."): v for k, v in labels.items()
    }
    genotype = known.write(labels)
    picks.setdefault(known.identify(genotype), []).append(genotype)
  assert len(picks) == 300
  assert sweeps.size({"a": axis}) == 5**6


def test_other_searchers_propose_nothing():
  for name in ("grid", "random", "quasi_random", "tpe"):
    assert _open(_NESTED, name) is None
  assert _open({"seed": sweeps.seeds(3)}) is None


def test_the_preview_is_what_the_search_proposes_first():
  asked = {**_NESTED, "seed": sweeps.seeds(2), "loss.l2": sweeps.grid(0.0, 0.1)}
  how = {"searcher": "evolution(population=3)", "draws": 5, "seed": 1}
  planned = searchers.plan(asked, **how)
  known = proposals.preview(asked, planned, **how)
  # Three draws, each with two values of the grid and two seeds.
  assert len(known) == 12 and len(planned) == 20
  children = _run(_open(asked, how["searcher"], seed=1), 3)
  decisions = space.drawn(asked)
  for number, each in enumerate(known):
    labels = [each.picks[name] for name in decisions]
    indices = [
      axis.labels.index(label)
      for axis, label in zip(decisions.values(), labels, strict=True)
    ]
    assert tuple(indices) == children[number // 4].picks
  assert [each.picks["seed"] for each in known[:4]] == [0, 0, 1, 1]
  text = searchers.text(asked, known[0])
  assert text.endswith("--config.seed=0  --config.loss.l2=0.0")


def test_the_folds_of_a_previewed_child_have_its_labels():
  asked = {"fold": sweeps.folds(2), **_NESTED}
  how = {"searcher": "evolution(population=3)", "draws": 5, "seed": 1}
  known = proposals.preview(asked, searchers.plan(asked, **how), **how)
  assert [each.picks["fold"] for each in known] == [0, 1] * 3
  drawn = [
    {name: pick for name, pick in each.picks.items() if name != "fold"}
    for each in known
  ]
  assert drawn[::2] == drawn[1::2]
  assert len({tuple(each.items()) for each in drawn}) == 3


def test_the_plan_of_other_searchers_is_known_as_a_whole():
  how = {"searcher": "random", "draws": 4, "seed": 0}
  planned = searchers.plan(_NESTED, **how)
  assert proposals.preview(_NESTED, planned, **how) == planned


def test_every_searcher_with_a_state_has_a_name_that_users_type():
  assert set(search.SEARCHERS) < set(searchers.NAMES)
  for name in search.SEARCHERS:
    assert searchers.find(name).known >= 1
  with pytest.raises(ValueError, match="did you mean 'local_search'"):
    searchers.find("local_serch")
