"""A run that is extended, or resumed with changes of free keys."""

import json
import math
import re
import shlex

import numpy as np
import pytest
import tiny_runs

from jaxvision import cli, config, schedules, training
from jaxvision.runs import metrics_log
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import extension


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)  # writes recipe.py
  return str(folder / "recipe.py")


# Momentum, an average, dropout and mixup: all state and randomness of a step.
_VALUES = {
  "train.duration": "4 steps",
  "model.options.dropout": 0.5,
  "optimizer.options.momentum": 0.9,
  "data.device_transforms": ("random_mixup(0.4)",),
  "ema.decay": 0.9,
  "evaluate.every": "2 steps",
  "log.every": "1 steps",
  "log.tensorboard": False,
}


def _train(recipe, workdir, **overrides):
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  return training.train(recipe, workdir=workdir, overrides=_VALUES | dotted)


def _rates(workdir):
  lines = metrics_log.read_metrics(workdir)
  return {
    each["step"]: each["learning_rate"]
    for each in lines
    if "learning_rate" in each
  }


def _history(workdir):
  return json.loads((workdir / "config.json").read_text())["history"]


@pytest.mark.slow
def test_a_finished_run_of_a_constant_rate_extended_is_the_longer_run(
  recipe, tmp_path
):
  long = _train(
    recipe,
    tmp_path / "long",
    schedule__name="constant",
    train__duration="9 steps",
  )
  short = _train(recipe, tmp_path / "short", schedule__name="constant")
  report = (tmp_path / "short" / "report.html").read_text()
  assert (short["step"], short["total_steps"]) == (4, 4)
  found = training.train(workdir=tmp_path / "short", extend="9 steps")
  assert (found["status"], found["total_steps"]) == ("finished", 9)
  assert found["fingerprint"] == long["fingerprint"] != short["fingerprint"]
  assert found["final"] == long["final"]
  assert found["best"] == long["best"]
  lines = [
    {
      (each["step"], name): value
      for each in metrics_log.read_metrics(tmp_path / folder)
      for name, value in each.items()
      if name.split("/")[0] in ("train", "validation", "validation_ema")
    }
    for folder in ("long", "short")
  ]
  # The evaluation at the end of the shorter run is an additional line.
  assert lines[0].items() <= lines[1].items()
  assert (tmp_path / "short" / "report.html").read_text() != report
  saved = workdirs.read_config(tmp_path / "short")
  assert saved["config"]["train"]["duration"] == "9 steps"
  [line] = saved["history"]
  assert line["changes"] == {"train.duration": ["4 steps", "9 steps"]}
  assert (line["extended"]["from_steps"], line["extended"]["to_steps"]) == (
    4,
    9,
  )


@pytest.mark.slow
def test_a_stopped_run_is_extended_and_its_schedule_is_stretched(
  recipe, tmp_path, caplog
):
  from jaxvision.training.loop import train_loop

  with pytest.raises(train_loop.Ended):
    training.train(
      recipe,
      workdir=tmp_path,
      overrides=_VALUES | {"checkpoint.every": "1 steps"},
      watch=lambda step, *_: "enough" if step == 2 else "",
    )
  # As after a kill: result.json has only the facts that are known at the start.
  result = workdirs.read_result(tmp_path)
  (tmp_path / "result.json").write_text(
    json.dumps(result | {"status": "running", "step": 0})
  )
  caplog.set_level("INFO")
  found = training.train(workdir=tmp_path, extend="8 steps")
  assert "in step 1, and is 0.09619 in the next" in caplog.text
  assert (found["status"], found["step"]) == ("finished", 8)
  cosine = [0.1 * (1 + math.cos(math.pi * s / 8)) / 2 for s in range(8)]
  rates = _rates(tmp_path)
  np.testing.assert_allclose(
    [rates[step] for step in range(3, 9)], cosine[2:], rtol=1e-5
  )
  assert _history(tmp_path)[-1]["extended"]["schedule"] == "stretch"


@pytest.mark.slow
def test_the_schedule_may_stay_and_keep_its_last_rate(recipe, tmp_path, capsys):
  _train(recipe, tmp_path / "a")
  words = ["train", "--workdir", str(tmp_path / "a"), "--extend", "7 steps"]
  assert cli.main([*words, "--extend-schedule", "constant"]) == 0
  said = capsys.readouterr()
  text = said.out + said.err
  assert "is extended from 4 steps to 7 (7 steps)" in text
  assert "as planned until step 4, and then constant at 0.01464" in text
  cosine = [0.1 * (1 + math.cos(math.pi * s / 4)) / 2 for s in (0, 1, 2, 3)]
  rates = _rates(tmp_path / "a")
  np.testing.assert_allclose(
    [rates[step] for step in range(1, 8)],
    [*cosine, *cosine[-1:] * 3],
    rtol=1e-5,
  )
  # A run with this config from its first step is the same run.
  again = _train(
    recipe,
    tmp_path / "b",
    train__duration="7 steps",
    schedule__duration="4 steps",
  )
  assert (
    again["fingerprint"] == workdirs.read_result(tmp_path / "a")["fingerprint"]
  )
  # Given again, as after a preemption, the command changes nothing.
  before = (tmp_path / "a" / "config.json").read_bytes()
  assert cli.main([*words, "--extend-schedule", "constant"]) == 0
  assert cli.main(words) == 0
  assert (tmp_path / "a" / "config.json").read_bytes() == before
  capsys.readouterr()
  assert cli.main([*words, "--extend-schedule", "stretch"]) == 2
  assert "lasts '7 steps' already, with --extend-sch" in capsys.readouterr().err


def test_an_impossible_extension_is_an_error(recipe, tmp_path, capsys):
  _train(recipe, tmp_path / "run")
  run = str(tmp_path / "run")
  for words, message in (
    (["--extend", "3 steps"], "3 steps' is 3 steps in all, but .* lasts '4 st"),
    (["--extend", "soon"], "--extend 'soon': .*is not a duration"),
    (["--extend", "5 percent"], "--extend '5 percent': .*use steps, epochs"),
    (["--extend", "8 steps", "--config", recipe], "leave --config out"),
    (["--extend-schedule", "stretch"], "give both"),
    (
      ["--extend", "8 steps", "--config.ema.start=2 steps"],
      "keeps those of ema.start: leave --config.ema.start out",
    ),
    (
      ["--extend", "8", "--extend-schedule", "strech"],
      "did you mean 'stretch'",
    ),
  ):
    assert cli.main(["train", "--workdir", run, *words]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
  assert cli.main(["train", "--workdir", str(tmp_path / "none")]) == 2
  assert "is not a run: there is no such folder" in capsys.readouterr().err
  assert "history" not in workdirs.read_config(run)


@pytest.mark.slow
def test_free_keys_may_change_and_are_recorded(recipe, tmp_path):
  whole = _train(recipe, tmp_path / "whole", train__duration="6 steps")
  from jaxvision.training.loop import train_loop

  with pytest.raises(train_loop.Ended):
    training.train(
      recipe,
      workdir=tmp_path / "run",
      overrides=_VALUES
      | {"train.duration": "6 steps", "checkpoint.every": "1 steps"},
      watch=lambda step, *_: "enough" if step == 2 else "",
    )
  values = {
    "log.every": "3 steps",
    "evaluate.every": "3 steps",
    "evaluate.batch_size": 8,
    "checkpoint.every": "2 steps",
    "checkpoint.best": "validation_ema/top1",
    "data.threads": 2,
    "data.placement": "device",
    "data.max_unreadable": 0.5,
  }
  found = training.train(workdir=tmp_path / "run", overrides=values)
  assert found["fingerprint"] == whole["fingerprint"]
  assert found["best"]["metric"] == "validation_ema/top1"
  saved = workdirs.read_config(tmp_path / "run")
  assert set(saved["history"][0]["changes"]) == set(values)
  assert saved["history"][0]["changes"]["log.every"] == ["1 steps", "3 steps"]
  assert saved["config"]["log"]["every"] == "3 steps"
  assert _rates(tmp_path / "run").keys() == {1, 3, 6}


@pytest.mark.slow
def test_other_changes_come_with_the_command_of_a_new_run(
  recipe, tmp_path, capsys
):
  _train(recipe, tmp_path / "run")
  run = str(tmp_path / "run")
  assert cli.main(["train", "--workdir", run, "--config.seed=5"]) == 2
  error = capsys.readouterr().err
  assert "  seed: 0 there, 5 here" in error
  command = error[error.index("jaxvision train --config") :]
  words = shlex.split(command)
  assert f"--config.model.weights={run}" in words
  assert cli.main(words[1:]) == 0
  made = workdirs.read_config(tmp_path / "run_2")["config"]
  assert (made["seed"], made["model"]["weights"]) == (5, run)
  assert made["optimizer"]["options"] == {"momentum": 0.9}
  # A longer duration needs --extend.
  capsys.readouterr()
  words = ["train", "--config", recipe, "--workdir", run]
  words += [f"--config.{key}={value}" for key, value in _VALUES.items()]
  assert cli.main([*words, "--config.train.duration=8 steps"]) == 2
  assert f"jaxvision train --workdir {run} --extend" in capsys.readouterr().err


def test_runs_from_before_the_key_existed_resume(recipe, tmp_path):
  _train(recipe, tmp_path)
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  del content["config"]["schedule"]["duration"]
  path.write_text(json.dumps(content))
  found = _train(recipe, tmp_path)
  assert found["status"] == "finished"


def test_a_held_schedule_is_that_of_its_last_step():
  steps = np.arange(12)
  rate = schedules.create("linear", peak=1.0, total_steps=8)
  held = schedules.hold(rate, steps=8)
  expected = np.minimum(steps, 7)
  np.testing.assert_allclose(
    [float(held(step)) for step in steps], 1 - expected / 8, rtol=1e-6
  )


def test_the_schedule_may_be_longer_than_the_training(tmp_path):
  tiny_runs.write_data(tmp_path)
  made = tiny_runs.prepare(
    tmp_path, schedule__duration="12 steps", schedule__name="linear"
  )
  np.testing.assert_allclose(float(made.schedule(3)), 0.1 * 9 / 12, rtol=1e-6)
  with pytest.raises(ValueError, match=r"'schedule\.duration'.*duration"):
    tiny_runs.load_config(tmp_path, schedule__duration="soon")
  assert extension.SCHEDULES == ("stretch", "constant")
  assert config.complete({})["schedule"]["duration"] == ""
