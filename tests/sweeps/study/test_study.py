"""Each trial is run by one worker, and no trial is lost with a worker."""

import concurrent.futures

import optuna
import pytest
import sweep_cases

from jaxvision import sweeps
from jaxvision.sweeps.study import study

_GRID = {sweep_cases.RATE: sweeps.grid(0.1, 0.2, 0.3)}


@pytest.fixture
def open_study(tmp_path):
  """() -> the study, opened by another worker."""

  def open_one(space=_GRID, **options):
    return sweep_cases.open_sweep(
      tmp_path, sweep_cases.experiment(space), **options
    ).study

  return open_one


def _claim_all(opened):
  claimed = []
  while (trial := study.claim(opened)) is not None:
    claimed.append(trial)
  return claimed


# A thread cannot filter warnings for itself only.
@pytest.mark.filterwarnings("ignore:.*is experimental")
def test_workers_that_start_together_share_one_study(open_study):
  space = {sweep_cases.RATE: sweeps.grid(*range(12))}
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    studies = list(pool.map(lambda _: open_study(space), range(4)))
    claimed = list(pool.map(_claim_all, studies))
  assert sorted(t.number for each in claimed for t in each) == list(range(12))
  rates = sorted(
    t.point.overrides[sweep_cases.RATE] for c in claimed for t in c
  )
  assert rates == list(range(12))


def test_the_trial_of_a_dead_worker_is_resumed(open_study, tmp_path):
  dead, alive = open_study(), open_study()
  trial = study.claim(dead)
  assert study.report(dead, trial, 250, 0.5)
  study.claim(alive)
  study.claim(alive)
  assert study.claim(alive) is None  # the worker may be alive
  sweep_cases.stop_heartbeats(tmp_path)
  again = study.claim(alive)
  assert (again.number, again.attempt) == (trial.number, 2)
  assert again.point == trial.point
  status = study.statuses(alive)[trial.number]
  assert status.curve == {250: 0.5}
  assert status.state == "running"


def test_a_worker_without_heartbeats_has_lost_its_trial(open_study, tmp_path):
  dead, alive = open_study(), open_study()
  trial = study.claim(dead)
  assert study.is_running(dead, trial)
  sweep_cases.stop_heartbeats(tmp_path)
  again = study.claim(alive)
  assert not study.is_running(dead, trial)
  assert not study.report(dead, trial, 500, 0.9)
  assert not study.finish(dead, trial, "complete", value=0.9)
  study.release(dead, trial)
  assert study.is_running(alive, again)
  assert study.finish(alive, again, "complete", value=0.7)
  assert study.statuses(alive)[trial.number].value == 0.7


def test_two_successors_of_one_trial_are_one(open_study, tmp_path, monkeypatch):
  first, second = open_study(), open_study()
  trial = study.claim(first)
  study.release(first, trial)
  before = second.handle.get_trials(deepcopy=False)
  study.requeue_dead(first)
  with monkeypatch.context() as patch:
    # Both workers read the trials before either one writes.
    patch.setattr(second.handle, "get_trials", lambda **_: before)
    study.requeue_dead(second)
  assert len(first.handle.get_trials()) == 5
  claimed = _claim_all(first) + _claim_all(second)
  assert sorted(each.number for each in claimed) == [0, 1, 2]


def test_a_released_trial_does_not_count_as_an_attempt(open_study):
  opened = open_study()
  for _ in range(3):
    trial = study.claim(opened)
    study.release(opened, trial)
    assert trial.attempt == 1
    assert study.statuses(opened)[trial.number].state == "waiting"


def test_final_states_are_permanent_and_have_reasons(open_study):
  opened = open_study()
  trials = _claim_all(opened)
  study.finish(opened, trials[0], "complete", value=0.5)
  study.finish(opened, trials[1], "pruned", reason="slow")
  assert not study.is_over(opened)
  study.finish(opened, trials[2], "failed", reason="out of memory")
  assert study.is_over(opened)
  assert study.claim(opened) is None
  statuses = study.statuses(opened)
  assert [s.state for s in statuses] == ["complete", "pruned", "failed"]
  assert [s.value for s in statuses] == [0.5, None, None]


def test_tpe_proposes_one_point_for_all_seeds(open_study):
  space = {
    sweep_cases.RATE: sweeps.log_uniform(1e-3, 1),
    "optimizer.name": sweeps.categorical("sgd", "adamw"),
    "seed": sweeps.seeds(2),
  }
  opened = open_study(space, searcher="tpe")
  trials = _claim_all(opened)
  assert [t.number for t in trials] == list(range(6))
  points = [t.point.overrides for t in trials]
  assert [p.pop("seed") for p in points] == [0, 1] * 3
  assert points[0::2] == points[1::2]
  assert len({p[sweep_cases.RATE] for p in points}) == 3


def test_a_follower_waits_for_the_point_of_its_leader(open_study):
  space = {sweep_cases.RATE: sweeps.uniform(0, 1), "seed": sweeps.seeds(2)}
  opened = open_study(space, searcher="tpe", draws=1)
  # A worker that died between its claim and its first proposal.
  key = opened.storage.get_trial_id_from_study_id_trial_number(1, 0)
  opened.storage.set_trial_state_values(key, optuna.trial.TrialState.RUNNING)
  assert study.claim(opened) is None
  opened.storage.set_trial_state_values(key, optuna.trial.TrialState.FAIL)
  leader = study.claim(opened)
  follower = study.claim(opened)
  assert (leader.number, follower.number) == (0, 1)
  rates = {t.point.overrides[sweep_cases.RATE] for t in (leader, follower)}
  assert len(rates) == 1


def test_tpe_learns_where_the_best_values_are(open_study):
  opened = open_study(
    {sweep_cases.RATE: sweeps.uniform(0, 1)}, searcher="tpe", draws=24
  )
  rates = []
  while (trial := study.claim(opened)) is not None:
    rate = trial.point.overrides[sweep_cases.RATE]
    study.finish(opened, trial, "complete", value=-((rate - 0.7) ** 2))
    rates.append(rate)
  first, last = (sum(abs(r - 0.7) for r in rates[i : i + 10]) for i in (0, 14))
  assert last < first / 2


def test_a_storage_that_does_not_open_keeps_its_password(open_study):
  url = "postgresql+psycopg2://user:hush@127.0.0.1:1/none"
  with pytest.raises(ValueError, match="cannot be opened") as raised:
    open_study(storage=url)
  assert "hush" not in str(raised.value)
  with pytest.raises(ValueError, match="a URL of SQLAlchemy"):
    open_study(storage="nothing")
