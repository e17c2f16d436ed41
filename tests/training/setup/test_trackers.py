"""The key log.trackers: names, options, missing packages, own functions."""

import os
import subprocess
import sys

import pytest
import tiny_runs

from jaxvision import cli, training
from jaxvision.runs import workdir
from jaxvision.training.setup import trackers

_OWN = """
import dataclasses
from jaxvision.runs import trackers

def make(name="seen.txt"):
  def open_run(run):
    def log(step, values):
      with (run.folder / name).open("a") as file:
        file.write(f"{step}\\n")
    return trackers.Session(log=log, finish=lambda end: None)
  return open_run

def wrong():
  return 3
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
  """The config of a tiny run with trackers; the cwd has my_tracker.py."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / "my_tracker.py").write_text(_OWN)

  def load_config(*calls):
    return tiny_runs.load_config(tmp_path, log__trackers=calls)

  return load_config


def test_no_tracker_is_the_default(load):
  assert trackers.make(load()) == {}
  assert not trackers.writes_events(load())


def test_an_own_function_with_options(load):
  call = "my_tracker.py:make(name='lines.txt')"
  made = trackers.make(load(call))
  assert list(made) == [call] and callable(made[call])


def test_a_tracker_that_is_named_twice_counts_once(load):
  calls = ("my_tracker.py:make", "my_tracker.py:make()", "tensorboard")
  made = trackers.make(load(*calls, "tensorboard"))
  assert list(made) == ["my_tracker.py:make"]
  assert trackers.writes_events(load(*calls))


@pytest.mark.parametrize(
  ("call", "words"),
  [
    ("wandbb", "unknown tracker 'wandbb'; did you mean 'wandb'"),
    ("wandb(projct='a')", "no option 'projct'; did you mean 'project'"),
    ("mlflow(experiment=3)", "experiment is 3; it must be text"),
    ("my_tracker.py:mke", "did you mean 'make'"),
    ("my_tracker.py:wrong", "returned 3; expected a function that opens a run"),
    ("tensorboard(1)", "tensorboard"),
  ],
)
def test_a_wrong_tracker_is_an_error(load, call, words):
  with pytest.raises(ValueError) as error:
    trackers.make(load(call))
  assert words in str(error.value)


@pytest.mark.parametrize(
  ("text", "calls"),
  [
    ("wandb", ("wandb",)),
    ("mlflow(experiment='a')", ("mlflow(experiment='a')",)),
    ("('wandb', 'mlflow')", ("wandb", "mlflow")),
    ("()", ()),
  ],
)
def test_the_command_line_sets_trackers(load, tmp_path, text, calls):
  config = tiny_runs.load_config(tmp_path, log__trackers=text)
  assert config.log.trackers == calls


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_names_the_extra_before_the_training(
  load, name, tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(sys.modules, name, None)
  tiny_runs.write_data(tmp_path)
  load()
  words = ["train", "--config", "recipe.py", "--workdir", "run"]
  assert cli.main([*words, f"--config.log.trackers=('{name}',)"]) == 2
  assert f"pip install 'jaxvision[{name}]'" in capsys.readouterr().err
  assert not (tmp_path / "run").exists()


def test_a_run_keeps_the_code_of_its_tracker(load, tmp_path):
  """A resumed run uses the copy, as for all own code."""
  tiny_runs.write_data(tmp_path)
  load()
  overrides = {
    "log.trackers": ("my_tracker.py:make",),
    "log.tensorboard": False,
    "log.every": "2 steps",
  }
  training.train("recipe.py", workdir="run", overrides=overrides)
  assert (tmp_path / "run" / "seen.txt").read_text() == "2\n2\n4\n4\n6\n6\n"
  found = workdir.read_config("run")
  assert found["config"]["log"]["trackers"] == ["my_tracker.py:make"]
  assert list(found["code"]) == ["my_tracker.py"]
  (tmp_path / "my_tracker.py").unlink()
  again = workdir.load_config("run")
  assert list(trackers.make(again)) == ["my_tracker.py:make"]


def test_importing_jaxvision_imports_no_package_of_a_tracker(tmp_path):
  """Packages that end the process stand in for the installed ones."""
  for name in ("wandb", "mlflow", "tensorboardX"):
    (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}')\n")
  code = (
    "import jaxvision, jaxvision.cli.main, jaxvision.sweeps.vectorized; "
    "from jaxvision.runs import trackers; from jaxvision.training import run; "
    "print('imported')"
  )
  path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
  done = subprocess.run(
    [sys.executable, "-c", code],
    env={**os.environ, "PYTHONPATH": path},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.stdout == "imported\n", done.stderr
