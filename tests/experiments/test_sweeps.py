"""The experiments that are sweeps: spaces are valid, tables are correct."""

import itertools

import experiment_scripts
import fake_sweeps
import pytest

from jaxvision import sweeps

_RATE = "optimizer.learning_rate"


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "trials"),
  [("optimizers", 9 * 7 * 5), ("learning_rate_vs_batch", 8 * 12 * 5)],
)
def test_the_config_takes_all_of_the_space(name, trials):
  experiment = sweeps.load(experiment_scripts.FOLDER / f"{name}.py")
  planned = sweeps.plan(experiment.space, searcher="grid", draws=1)
  assert len(planned) == trials


def test_an_optimizer_has_the_rate_that_validates_best(tmp_path, capsys):
  optimizers = experiment_scripts.load("optimizers.py")
  # The best by the test split is another: validation minus 0.01, but for sgd.
  values = {("sgd", 0.1): 0.5, ("sgd", 1.0): 0.6, ("adam", 0.01): 0.9}
  trials = [
    {
      "settings": {"optimizer": name, _RATE: rate, "seed": seed},
      "value": value + seed / 100,
    }
    for (name, rate), value in values.items()
    for seed in range(2)
  ]
  diverged = {"optimizer": "sgd", _RATE: 10.0, "seed": 0}
  trials.append({"settings": diverged, "state": "failed", "value": 0.99})
  workdir = fake_sweeps.write(tmp_path / "sweep", trials)
  optimizers.main([str(workdir)])
  lines = capsys.readouterr().out.splitlines()
  assert lines[2].startswith("| adam | 0.01 | 90.50% | 89.50% ± 6.35% |")
  assert lines[3] == (
    "| sgd | 1 | 60.50% | 59.50% ± 6.35% | 30.00 ± 0.00 | 1 to 1 |"
  )
  assert (workdir / "optimizers.png").exists()


def test_the_rule_is_said_from_the_best_rate_of_one_size(tmp_path, capsys):
  script = experiment_scripts.load("learning_rate_vs_batch.py")
  # The smallest loss is at the rate batch size / 32.
  trials = [
    {
      "settings": {"train.batch_size": size, _RATE: rate, "seed": seed},
      "value": 0.1 + abs(rate - size / 32) / 10 + seed / 1000,
    }
    for size, rate, seed in itertools.product((32, 64), (1.0, 2.0), (0, 1))
  ]
  trials[-1]["state"] = "failed"
  workdir = fake_sweeps.write(tmp_path / "sweep", trials, goal="minimize")
  script.main([str(workdir)])
  lines = capsys.readouterr().out.splitlines()
  assert lines[2].startswith("| 32 | 1 | 1 to 1 | 9.05% ± 0.64% | 9.05%")
  # One of two diverged at 2, so 1 is the best there is.
  assert lines[3].startswith("| 64 | 1 |")
  assert "1 of 2 diverged (2)" in lines[3]
  assert (workdir / "learning_rate_vs_batch.png").exists()
