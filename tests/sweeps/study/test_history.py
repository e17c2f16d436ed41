"""The storage gives a searcher the same history as a list in memory."""

import math

import pytest
import searched_spaces
import sweep_cases

from jaxvision import sweeps
from jaxvision.sweeps.experiment import proposals
from jaxvision.sweeps.study import history, study
from jaxvision.sweeps.workers import worker

_SPACE = {
  f"model.options.k{i}": sweeps.categorical(*range(count))
  for i, count in enumerate(searched_spaces.COUNTS)
}
_EVOLUTION = "evolution(population=4, sample=2)"


@pytest.fixture
def open_study(tmp_path):
  """() -> the study, opened by another worker."""

  def open_one(space=_SPACE, searcher=_EVOLUTION, draws=20, **options):
    asked = sweep_cases.experiment(space, **options)
    return sweep_cases.open_sweep(
      tmp_path, asked, searcher=searcher, draws=draws
    ).study

  return open_one


def _picks(trial):
  return tuple(trial.point.overrides[key] for key in _SPACE)


def _search(opened, value, *, most=99):
  """Runs trials as one worker does; returns their picks."""
  found = []
  while len(found) < most and (trial := study.claim(opened)) is not None:
    found.append(_picks(trial))
    study.finish(opened, trial, "complete", value=value(found[-1]))
  return found


@pytest.mark.parametrize(
  "searcher",
  [
    _EVOLUTION,
    "local_search",
    pytest.param(
      "controller(batch=4, units=8, epochs=2)", marks=[pytest.mark.slow]
    ),
  ],
)
def test_the_storage_gives_the_same_search_as_the_pure_function(
  open_study, searcher
):
  value = searched_spaces.values().get
  # Another process, which has opened the study anew, continues.
  found = _search(open_study(searcher=searcher), value, most=7)
  found += _search(open_study(searcher=searcher), value)
  made = proposals.searchers.find(searcher)
  pure = searched_spaces.run(made, value, children=20)
  assert found == [child.picks for child in pure]


def test_smaller_is_better_if_the_goal_says_so(open_study):
  aim = sweeps.minimize("validation/loss")
  value = searched_spaces.values().get
  found = _search(open_study(objective=aim), value)
  made = proposals.searchers.find(_EVOLUTION)
  pure = searched_spaces.run(made, lambda p: -value(p), children=20)
  assert found == [child.picks for child in pure]


def test_a_killed_worker_loses_no_child_and_changes_none(open_study, tmp_path):
  value = searched_spaces.values().get
  opened = open_study()
  before = _search(opened, value, most=6)
  killed = study.claim(opened)
  other = study.claim(open_study())
  sweep_cases.stop_heartbeats(tmp_path)
  opened = open_study()
  again = study.claim(opened)
  assert (again.number, again.attempt) == (killed.number, 2)
  assert (again.point, again.proposal) == (killed.point, killed.proposal)
  study.finish(opened, again, "complete", value=0.5)
  third = study.claim(opened)
  assert (third.number, third.proposal) == (other.number, other.proposal)
  study.finish(opened, third, "complete", value=0.5)
  found = _search(opened, value)
  picks = [*before, _picks(killed), _picks(other), *found]
  assert len(picks) == len(set(picks)) == 20
  ended, running = _children(opened)
  assert sorted(child.number for child in ended) == list(range(20))
  assert not running


def test_a_worker_that_dies_before_its_proposal_leaves_no_gap(open_study):
  opened = open_study()
  key = opened.storage.get_trial_id_from_study_id_trial_number(1, 0)
  optuna = study.storage.import_optuna()
  opened.storage.set_trial_state_values(key, optuna.trial.TrialState.RUNNING)
  value = searched_spaces.values().get
  first = _search(opened, value, most=3)
  opened.storage.set_trial_state_values(key, optuna.trial.TrialState.FAIL)
  rest = _search(opened, value)
  made = proposals.searchers.find(_EVOLUTION)
  pure = searched_spaces.run(made, value, children=20)
  assert first + rest == [child.picks for child in pure]


def _children(opened):
  trials = opened.handle.get_trials(deepcopy=False)
  return history.children(trials[0], trials, of=opened.search, sign=1)


def test_values_of_pruned_and_failed_children(open_study):
  opened = open_study(draws=4)
  trials = [study.claim(opened) for _ in range(4)]
  study.report(opened, trials[0], 100, 0.25)
  study.report(opened, trials[0], 300, 0.5)
  study.finish(opened, trials[0], "pruned", reason="slow")
  study.finish(opened, trials[2], "failed", reason="out of memory")
  study.finish(opened, trials[1], "complete", value=0.75)
  ended, running = _children(opened)
  # In the order in which they ended.
  assert [child.number for child in ended] == [0, 2, 1]
  assert [child.value for child in ended] == [0.5, -math.inf, 0.75]
  assert [child.number for child in running] == [3]
  assert running[0].notes == {"parent": None}


def test_a_child_is_the_mean_over_its_seeds(open_study):
  opened = open_study({**_SPACE, "seed": sweeps.seeds(2)}, draws=2)
  trials = [study.claim(opened) for _ in range(4)]
  assert _picks(trials[0]) == _picks(trials[1]) != _picks(trials[2])
  for trial, value in zip(trials[:3], (0.5, 1.0, 0.25), strict=True):
    study.finish(opened, trial, "complete", value=value)
  ended, running = _children(opened)
  assert [(child.number, child.value) for child in ended] == [(0, 0.75)]
  assert [child.number for child in running] == [1]


def test_a_child_is_the_mean_over_its_folds(open_study):
  space = {"fold": sweeps.folds(2), **_SPACE}
  opened = open_study(space, draws=2)
  trials = [study.claim(opened) for _ in range(4)]
  assert [t.point.overrides["data.fold"] for t in trials] == [0, 1, 0, 1]
  stored = opened.handle.get_trials(deepcopy=False)
  assert [history.crossed(each, opened.search) for each in stored] == [{}] * 4
  assert _picks(trials[0]) == _picks(trials[1]) != _picks(trials[2])
  for trial, value in zip(trials[:3], (0.5, 1.0, 0.25), strict=True):
    study.finish(opened, trial, "complete", value=value)
  ended, running = _children(opened)
  assert [(child.number, child.value) for child in ended] == [(0, 0.75)]
  assert [child.number for child in running] == [1]


@pytest.mark.slow
def test_each_crossed_value_has_its_own_search(open_study):
  space = {**_SPACE, "optimizer.name": sweeps.grid("sgd", "adamw")}
  opened = open_study(space, draws=20)
  values = {
    "sgd": searched_spaces.values(0),
    "adamw": searched_spaces.values(1),
  }
  found = {"sgd": [], "adamw": []}
  while (trial := study.claim(opened)) is not None:
    name = trial.point.overrides["optimizer.name"]
    found[name].append(_picks(trial))
    study.finish(opened, trial, "complete", value=values[name][_picks(trial)])
  for name, picks in found.items():
    pure = searched_spaces.run(
      proposals.searchers.find(_EVOLUTION), values[name].get, children=20
    )
    assert picks == [child.picks for child in pure]


def test_a_storage_that_was_lost_has_the_proposals_of_the_folders(
  open_study, tmp_path
):
  opened = open_study(draws=3)
  workers = sweeps.Sweep(tmp_path, sweep_cases.experiment(_SPACE), opened)
  first = study.claim(opened)
  worker.begin(workers, first)
  (tmp_path / "sweep.db").unlink()
  again = study.claim(open_study(draws=3))
  assert (again.point, again.proposal) == (first.point, first.proposal)
