"""Plans have the points of their searcher, on every worker."""

import numpy as np
import pytest
from scipy.stats import qmc

from jaxvision import sweeps
from jaxvision.sweeps.experiment import searchers

_RATE = "optimizer.learning_rate"
_SPACE = {
  _RATE: sweeps.uniform(0, 1),
  "loss.l2": sweeps.uniform(0, 1),
  "train.batch_size": sweeps.grid(32, 64),
  "seed": sweeps.seeds(3),
}


def _plan(searcher, draws=4, space=_SPACE, **options):
  return searchers.plan(space, searcher=searcher, draws=draws, **options)


@pytest.mark.parametrize("searcher", ["random", "quasi_random"])
def test_each_draw_is_combined_with_all_crossed_values(searcher):
  plan = _plan(searcher)
  assert len(plan) == 4 * 2 * 3
  for draw in range(4):
    part = plan[6 * draw : 6 * draw + 6]
    assert len({(p.picks[_RATE], p.picks["loss.l2"]) for p in part}) == 1
  assert len({p.picks[_RATE] for p in plan}) == 4


@pytest.mark.parametrize("searcher", searchers.NAMES)
def test_a_plan_depends_on_its_seed_alone(searcher):
  listed = searcher not in ("random", "quasi_random", "tpe")
  space = {"seed": sweeps.seeds(3)} if listed else _SPACE
  plan = _plan(searcher, space=space)
  assert plan == _plan(searcher, space=space)
  if searcher in ("random", "quasi_random"):
    assert plan != _plan(searcher, space=space, seed=1)
    # More draws begin with the same ones.
    assert _plan("random", 9)[: 4 * 6] == _plan("random", 4)


def test_quasi_random_points_fill_the_square_better_than_random_ones():
  def discrepancy(searcher):
    picks = [p.picks for p in _plan(searcher, 64)][::6]
    return qmc.discrepancy([[p[_RATE], p["loss.l2"]] for p in picks])

  assert discrepancy("quasi_random") < discrepancy("random") / 4


def test_random_draws_of_two_axes_are_independent():
  picks = [p.picks for p in _plan("random", 400)][::6]
  columns = np.array([[p[_RATE], p["loss.l2"]] for p in picks])
  assert abs(np.corrcoef(columns.T)[0, 1]) < 0.15
  assert columns.mean(0) == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_space_in_which_nothing_is_drawn_has_its_points_once():
  space = {"seed": sweeps.seeds(3)}
  for searcher in searchers.NAMES:
    plan = _plan(searcher, 7, space)
    assert [p.picks for p in plan] == [{"seed": s} for s in range(3)]


def test_the_seeds_of_a_tpe_point_follow_the_first_of_them():
  plan = _plan("tpe", 2)
  assert [p.leader for p in plan[:6]] == [None, 0, 0, None, 3, 3]
  assert [p.leader for p in plan[6:]] == [None, 6, 6, None, 9, 9]
  assert plan[4].picks == {"train.batch_size": 64, "seed": 1}


def test_text_shows_overrides_and_undrawn_values():
  shown = searchers.text(_SPACE, _plan("random")[0])
  assert shown.startswith(f"--config.{_RATE}=0.")
  assert shown.endswith("--config.train.batch_size=32  --config.seed=0")
  open_ended = searchers.text(_SPACE, _plan("tpe")[0])
  assert open_ended == (
    "train.batch_size=32  seed=0  (the other values are drawn during the sweep)"
  )


def test_unknown_searchers_and_no_draws_are_refused():
  with pytest.raises(ValueError, match="did you mean 'grid'"):
    _plan("gird")
  with pytest.raises(ValueError, match="--trials 0: give at least 1"):
    _plan("random", 0)


@pytest.mark.parametrize(
  ("searcher", "message"),
  [
    ("evolutoin", "did you mean 'evolution'"),
    ("evolution(populatoin=5)", "did you mean 'population'"),
    ("evolution(population=0)", "population is 0; it must be a whole number"),
    ("controller(clip=1.0)", r"clip is 1.0; it must be a number in \(0, 1"),
    ("local_search(5)", "local_search"),
    ("tpe(5)", "tpe has no options; write --searcher tpe"),
  ],
)
def test_wrong_options_of_searchers_are_explained(searcher, message):
  with pytest.raises(ValueError, match=message):
    _plan(searcher)


def test_searchers_of_choices_refuse_ranges():
  with pytest.raises(ValueError, match="use one of random") as raised:
    _plan("evolution(population=5)")
  assert f"{_RATE} is a range from 0.0 to 1.0" in str(raised.value)


def test_the_seeds_of_a_proposed_point_follow_the_first_of_them():
  space = {"loss.l2": sweeps.categorical(0.0, 0.1), "seed": sweeps.seeds(3)}
  plan = _plan("evolution(population=5)", 2, space)
  assert [p.leader for p in plan] == [None, 0, 0, None, 3, 3]
  assert plan[1].picks == {"seed": 1}


@pytest.mark.parametrize("searcher", ["tpe", "evolution(population=5)"])
def test_the_folds_of_a_point_follow_the_first_of_them(searcher):
  space = {
    "fold": sweeps.folds(2),
    "loss.l2": sweeps.categorical(0.0, 0.1),
    "seed": sweeps.seeds(2),
  }
  plan = _plan(searcher, 2, space)
  assert [p.leader for p in plan] == [None, 0, 0, 0, None, 4, 4, 4]
  assert plan[3].picks == {"fold": 1, "seed": 1}
