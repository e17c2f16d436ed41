"""The runs of a sweep must measure its objective; otherwise it is an error."""

import pytest
import sweep_cases
import tiny_runs

from jaxvision import config as configs
from jaxvision import sweeps, training
from jaxvision.runs import metrics_log
from jaxvision.sweeps import vectorized
from jaxvision.training import setup
from jaxvision.training.setup import checks


def _experiment(folder, metric, space=None, **overrides):
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)
  return sweep_cases.experiment(
    space or {"seed": sweeps.seeds(2)},
    recipe=str(folder / "recipe.py"),
    overrides={k.replace("__", "."): v for k, v in overrides.items()},
    objective=sweeps.maximize(metric),
  )


@pytest.mark.slow
def test_every_written_metric_may_be_the_objective(tmp_path):
  """The oracle is metrics.jsonl of a run that has all kinds of metrics."""
  overrides = {
    "ema.decay": 0.9,
    "evaluate.probes": ("knn(k=3)", "pixels/ridge"),
    "log.every": "1 steps",
    "log.tensorboard": False,
  }
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  recipe = str(tmp_path / "recipe.py")
  training.train(recipe, workdir=tmp_path / "run", overrides=overrides)
  lines = metrics_log.read_metrics(tmp_path / "run")
  written = {name for line in lines for name in line} - {"step"}
  assert "validation_ema/knn(k=3)/top1" in written
  config = configs.load(recipe, overrides)
  task = tiny_runs.make_task(config, setup.make_model(config, 3), (4, 4, 1))
  for name in written:
    checks.check_measured(name, config, task)


@pytest.mark.parametrize(
  ("metric", "overrides", "message"),
  [
    ("validation/topl", {}, "did you mean 'validation/top1'"),
    ("top1", {}, "unknown metric 'top1'"),
    ("validation_ema/top1", {}, "did you mean 'validation/top1'"),
    ("validation/top5", {}, "unknown metric 'validation/top5'"),  # 3 classes
    ("validation/top1", {"data__validation": ""}, "needs data.validation"),
    ("validation/lda/top1", {}, "unknown metric 'validation/lda/top1'"),
  ],
)
def test_an_unmeasured_metric_is_refused(tmp_path, metric, overrides, message):
  with pytest.raises(ValueError, match=message) as refused:
    vectorized.check_objective(_experiment(tmp_path, metric, **overrides))
  assert "correct OBJECTIVE" in str(refused.value)


def test_every_trial_must_measure_the_objective(tmp_path):
  space = {"ema.decay": sweeps.grid(0.9, 0.0)}
  with pytest.raises(ValueError, match="unknown metric 'validation_ema/top1'"):
    vectorized.check_objective(
      _experiment(tmp_path, "validation_ema/top1", space=space)
    )
  space = {"ema.decay": sweeps.grid(0.9, 0.99)}
  vectorized.check_objective(
    _experiment(tmp_path, "validation_ema/top1", space=space)
  )


def test_data_that_no_trial_can_open_are_an_error_before_the_first_run(
  tmp_path,
):
  missing = {"data.name": sweeps.grid("no.npz", "none.npz")}
  with pytest.raises(OSError, match=r"no(ne)?\.npz"):
    vectorized.check_objective(
      _experiment(tmp_path, "validation/top1", space=missing)
    )
  some = {"data.name": sweeps.grid("no.npz", str(tmp_path / "data.npz"))}
  vectorized.check_objective(
    _experiment(tmp_path, "validation/top1", space=some)
  )
