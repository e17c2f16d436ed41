"""Runs with an equal average and recomputed batch statistics."""

import json
import logging
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from jaxvision import cli, config, inference, sweeps, training
from jaxvision.runs import metrics_log
from jaxvision.sweeps import vectorized
from jaxvision.training import setup
from jaxvision.training.loop import average_statistics, train_loop

_MOMENTUM = 0.9  # of the running averages of resnet18
_NORMED = {
  "model.name": "resnet18",
  "model.options": {
    "blocks": (1,),
    "features": 4,
    "stem": "small",
  },
}
_AVERAGED = {
  **_NORMED,
  "optimizer.learning_rate": 0.1,
  "schedule.name": "constant",
  "data.device_transforms": ("random_crop(padding=1)",),
  "train.duration": "12 steps",
  "ema.start": "50 percent",
  "ema.every": "2 steps",
  "ema.statistics": "3 steps",
  "evaluate.every": "4 steps",
  "checkpoint.best": "validation_ema/loss",
  "checkpoint.every": "1 steps",
  "checkpoint.keep": 12,
  "log.every": "1 steps",
  "log.tensorboard": False,
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)
  return str(folder / "recipe.py")


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
  """A run without a stop, and its result."""
  workdir = tmp_path_factory.mktemp("whole") / "run"
  result = training.train(recipe, workdir=workdir, overrides=_AVERAGED)
  return workdir, result


@pytest.fixture(scope="module")
def plain(recipe, tmp_path_factory):
  """The same run without an average."""
  workdir = tmp_path_factory.mktemp("plain") / "run"
  off = {"ema.start": "", "checkpoint.best": ""}
  training.train(recipe, workdir=workdir, overrides=_AVERAGED | off)
  return workdir


def _assert_close(found, expected, **tolerances):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **tolerances),
    jax.device_get(found),
    jax.device_get(expected),
  )


def _by_train_mode(run, params, count):
  """The mean of the batch statistics, from the model in training mode.

  From running averages of zero, an update gives (1 - momentum) * statistics.
  """
  splits = setup.open_splits(run.config)
  parts = setup.prepare(run.config, splits)
  zeros = jax.tree.map(np.zeros_like, run.variables["batch_stats"])
  found = []
  for step in range(count):
    key = jax.random.fold_in(jax.random.key(run.config.seed), step)
    batch = parts.batches["train"].at(step)
    images = run.task.inputs(batch, key)[1]["image"]
    _, state = run.model.apply(
      {"params": params, "batch_stats": zeros},
      images,
      train=True,
      mutable=["batch_stats"],
    )
    found.append(state["batch_stats"])
  return jax.tree.map(
    lambda *each: np.mean(each, axis=0) / (1 - _MOMENTUM), *found
  )


def test_the_run_has_the_mean_of_the_steps_and_its_statistics(whole, plain):
  """The mean of the parameters that a run without an average has saved."""
  averaged = [
    inference.load_run(plain, which=str(step)).variables["params"]
    for step in (6, 8, 10, 12)
  ]
  expected = jax.tree.map(lambda *each: np.mean(each, axis=0), *averaged)
  run = inference.load_run(whole[0])
  assert run.averaged
  _assert_close(run.variables["params"], expected, rtol=1e-4, atol=1e-6)
  statistics = _by_train_mode(run, run.variables["params"], 3)
  _assert_close(run.variables["batch_stats"], statistics, rtol=1e-4, atol=1e-5)


def test_before_the_start_the_average_is_the_parameters(whole):
  lines = metrics_log.read_metrics(whole[0])
  values = {each["step"]: each for each in lines if "validation/loss" in each}
  assert values[4]["validation_ema/loss"] == values[4]["validation/loss"]
  assert values[8]["validation_ema/loss"] != values[8]["validation/loss"]


@pytest.mark.matrix("8")
@pytest.mark.parametrize("stop", [4, 8, 12])
def test_a_stopped_run_ends_as_one_without_a_stop(
  stop, whole, recipe, tmp_path
):
  call = {"workdir": tmp_path / "run", "overrides": _AVERAGED}
  with pytest.raises(train_loop.Preempted):
    training.train(recipe, watch=tiny_runs.stopped_at(stop), **call)
  found = training.train(recipe, **call)
  assert found["fingerprint"] == whole[1]["fingerprint"]
  assert found["final"] == whole[1]["final"]
  assert found["best"] == whole[1]["best"]


@pytest.mark.slow
def test_a_stop_during_the_last_evaluation_keeps_the_statistics(
  whole, recipe, tmp_path, monkeypatch
):
  """The state is saved with them; the evaluation is repeated."""
  call = {"workdir": tmp_path / "run", "overrides": _AVERAGED}
  make, stopped = average_statistics.make_refresh, []

  def make_stopping(parts):
    refresh = make(parts)

    def stopping(state, limit=None):
      if limit is None and int(state.step) == 12 and not stopped:
        stopped.append(12)
        os.kill(os.getpid(), signal.SIGTERM)
      return refresh(state, limit)

    return stopping

  monkeypatch.setattr(average_statistics, "make_refresh", make_stopping)
  with pytest.raises(train_loop.Preempted):
    training.train(recipe, **call)
  found = training.train(recipe, **call)
  assert stopped == [12]
  assert found["fingerprint"] == whole[1]["fingerprint"]
  assert found["final"] == whole[1]["final"]


def test_commands_of_the_finished_run_use_the_statistics(whole, capsys):
  workdir, result = whole
  command = ["evaluate", "--workdir", str(workdir)]
  assert cli.main([*command, "--split", "validation"]) == 0
  expected = result["final"]["metrics"]["loss"]
  assert f"loss               {expected:.4f}" in capsys.readouterr().out
  last = metrics_log.read_metrics(workdir)[-1]
  assert last["validation_ema/loss"] == pytest.approx(expected, rel=1e-6)
  run = inference.load_run(workdir, which="best")
  assert run.step == result["best"]["step"]
  if run.step > 6:
    statistics = _by_train_mode(run, run.variables["params"], 3)
    _assert_close(
      run.variables["batch_stats"], statistics, rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_without_statistics_they_are_averaged_as_the_parameters(
  plain, recipe, tmp_path
):
  """Of one step, the average is all variables of the run without an average."""
  off = {"ema.statistics": "0 steps", "ema.start": "12 steps"}
  training.train(recipe, workdir=tmp_path / "run", overrides=_AVERAGED | off)
  found, expected = (
    inference.load_run(each).variables for each in (tmp_path / "run", plain)
  )
  jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.slow
def test_an_extended_run_keeps_the_times_of_its_average(recipe, tmp_path):
  """It ends as a longer run whose average begins at the same step."""
  longer = {"train.duration": "16 steps", "ema.start": "6 steps"}
  whole = training.train(
    recipe, workdir=tmp_path / "a", overrides=_AVERAGED | longer
  )
  training.train(recipe, workdir=tmp_path / "b", overrides=_AVERAGED)
  found = training.train(workdir=tmp_path / "b", extend="16 steps")
  assert found["fingerprint"] == whole["fingerprint"]
  saved = json.loads((tmp_path / "b" / "config.json").read_text())["config"]
  assert saved["ema"]["start"] == "6 steps"
  assert saved["ema"]["every"] == "2 steps"


def test_one_device_and_eight_have_the_same_statistics(tmp_path):
  tiny_runs.write_data(tmp_path)
  options = {k.replace(".", "__"): v for k, v in _AVERAGED.items()}
  options |= {"ema__start": "1 steps"}
  cfg = tiny_runs.load_config(tmp_path, **options)
  found = []
  for devices in (jax.devices()[:1], None):
    parts = setup.prepare(cfg, setup.open_splits(cfg), devices=devices)
    state = parts.init().replace(step=jnp.int32(5))
    refresh = average_statistics.make_refresh(parts)
    found.append(jax.device_get(refresh(state).ema["batch_stats"]))
  _assert_close(*found, rtol=2e-5, atol=1e-6)
  assert np.ptp(jax.tree.leaves(found[0])[0]) > 0


@pytest.mark.slow
def test_trials_share_a_program_unless_they_need_statistics(
  recipe, tmp_path, caplog
):
  caplog.set_level(logging.INFO)
  mlp = {"model.name": "mlp", "model.options": {"hidden": (8,)}}
  base = {**_AVERAGED, "data.placement": "device"}
  together = [{**base, **mlp, "seed": seed} for seed in range(2)]
  alone = [{**base, "seed": seed} for seed in range(2)]
  folders = [tmp_path / str(i) for i in range(4)]
  outcomes = vectorized.run_together(
    recipe,
    workdirs=folders,
    overrides=together + alone,
    watch=lambda told: {},
  )
  assert outcomes == [sweeps.Outcome("complete")] * 2 + [None] * 2
  assert "recomputes the batch statistics of its average" in caplog.text
  training.train(recipe, workdir=tmp_path / "one", overrides=together[0])
  pair = [
    inference.load_run(each).variables
    for each in (folders[0], tmp_path / "one")
  ]
  _assert_close(*pair, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"ema.decay": 0.9}, "ema.decay is 0.9 and ema.start is '50 percent'"),
    ({"ema.start": "0 steps"}, "is step 0 of 12; the equal average begins"),
    ({"ema.start": "13 steps"}, "is step 13 of 12"),
    ({"ema.every": "0 steps"}, "ema.every '0 steps' is 0 steps; give at le"),
    ({"ema.start": "soon"}, "'soon' is not a duration"),
    ({"ema.statistics": "all"}, "'all' is not a duration"),
  ],
)
def test_averages_that_make_no_sense_are_refused(recipe, overrides, message):
  with pytest.raises(ValueError, match=message):
    cfg = config.load(recipe, _AVERAGED | overrides)
    setup.prepare(cfg, setup.open_splits(cfg))


def test_the_state_has_the_average(recipe):
  cfg = config.load(recipe, _AVERAGED)
  parts = setup.prepare(cfg, setup.open_splits(cfg))
  assert jax.tree.structure(parts.template.ema) == jax.tree.structure(
    parts.template.variables
  )
  assert parts.statistics is not None
  cfg = config.load(
    recipe, _AVERAGED | {"ema.start": "", "checkpoint.best": ""}
  )
  parts = setup.prepare(cfg, setup.open_splits(cfg))
  assert parts.template.ema == {} and parts.statistics is None
