"""Workers are killed at random moments; every trial finishes exactly once."""

import experiment_scripts
import postgres
import pytest
import tiny_runs

_TRIALS = 8
_OVERRIDES = {
  "train.duration": "40 steps",
  "evaluate.every": "10 steps",
  "checkpoint.every": "10 steps",
  "checkpoint.best": "",
  "ema.decay": 0.9,
  "log.every": "10 steps",
  "log.tensorboard": False,
}


@pytest.fixture(scope="module")
def kills():
  """The benchmark."""
  return experiment_scripts.load("benchmarks/sweep_kills.py")


@pytest.fixture
def storage(request):
  """The URL of a storage: SQLite in the folder or a PostgreSQL server."""
  if request.param == "sqlite":
    yield ""
    return
  if postgres.binaries() is None:
    pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
  with postgres.serve() as url:
    yield url


# A searcher that proposes from the history draws from lists.
_LEARNING = {
  "rates": "sweep.categorical(0.001, 0.002, 0.003, 0.004, 0.005, 0.006)",
  "options": ["--searcher=evolution(population=2, sample=2)"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
  ("storage", "searcher"),
  [("sqlite", {}), ("postgresql", {}), ("sqlite", _LEARNING)],
  indirect=["storage"],
)
def test_every_trial_finishes_once_despite_kills(
  kills, tmp_path, storage, searcher
):
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  recipe = str(tmp_path / "recipe.py")
  options = ["--workers=2", "--grace=6", f"--storage={storage}"]
  done = kills.run(
    tmp_path,
    trials=_TRIALS,
    kills=4,
    seconds=(4, 12),
    recipe=recipe,
    overrides=_OVERRIDES,
    **{**searcher, "options": options + searcher.get("options", [])},
  )
  assert done["code"] == 0 and done["kills"] >= 2
  sweep = tmp_path / "sweep"
  trials = kills.read_trials(sweep)
  assert [trial["number"] for trial in trials] == list(range(_TRIALS))
  assert {trial["state"] for trial in trials} == {"complete"}
  ends = kills.endings(sweep, storage)
  assert [each.count("COMPLETE") for each in ends.values()] == [1] * _TRIALS
  for trial in trials:
    assert kills.measured(trial["folder"]) == [10, 20, 30, 40]
  if searcher:  # Each child has two seeds.
    rates = [t["overrides"]["optimizer.learning_rate"] for t in trials]
    assert len(set(rates)) == _TRIALS // 2
  hurt = max(trials, key=lambda trial: trial["attempt"])
  alone = kills.in_one_go(hurt, tmp_path, recipe=recipe)
  assert kills.fingerprint(hurt["folder"]) == alone
