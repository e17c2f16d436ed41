"""`jaxvision launch`: parsing of the command, and error messages."""

import json
import os
import pathlib
import sys

import fake_programs
import pytest
import spawned
import sweep_cases

from jaxvision import cli, launch

_EXPERIMENT = str(
  pathlib.Path(__file__).parents[2]
  / "experiments"
  / "learning_rate_vs_batch.py"
)
_CELLS = str(pathlib.Path(_EXPERIMENT).with_name("cells.py"))
_RECIPE = spawned.recipe("digits.py:linear")
_TPU = ("--name=a", "--zone=z", "--accelerator=v5litepod-16", "--runtime=r")
_SEARCH = ("search", _CELLS, "--workdir", "/shared/search")
_SWEEP = ("sweep", _EXPERIMENT, "--workdir", "/shared/sweep")
_TRAIN = ("train", "--config", _RECIPE, "--workdir", "/shared/run")


def _shown(capsys, *words):
  """The output of a dry run."""
  assert cli.main(["launch", *words]) == 0
  return capsys.readouterr().out


@pytest.mark.parametrize("separator", [("--",), ()])
def test_all_after_the_options_is_the_command(separator, tmp_path, capsys):
  workdir = tmp_path / "run"
  train = ["train", "--config", _RECIPE, "--workdir", str(workdir)]
  more = ["--config.seed=3", "--config.train.duration", "2 epochs"]
  words = ["local", "--processes", "2", "--dry-run", *separator, *train, *more]
  lines = _shown(capsys, *words).splitlines()
  commands = [line for line in lines if line.startswith("env ")]
  assert len(commands) == 2
  for command in commands:
    assert command.endswith(
      f"{sys.executable} -m jaxvision {' '.join(train)} --config.seed=3 "
      "--config.train.duration '2 epochs'"
    )
  assert f"{workdir}/launch/process-1.log" in lines[3]
  assert not workdir.exists()


@pytest.mark.parametrize(
  "words",
  [
    ("local", "--processes=2"),
    ("slurm", "--nodes=2"),
    ("ray", "--workers=1:2"),
  ],
)
def test_dry_runs_leave_nothing(words, tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("PATH", "")  # no launcher is called
  train = ["train", "--config", _RECIPE, "--workdir", str(tmp_path / "run")]
  shown = _shown(capsys, *words, "--dry-run", "--", *train)
  assert str(tmp_path / "run" / "launch") in shown
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
  "words",
  [
    ("local", "--processes=1"),
    ("slurm", "--array=2"),
    ("ray", "--workers=2"),
  ],
)
@pytest.mark.parametrize("way", ["word", "two words", "environment"])
def test_the_password_of_a_storage_is_shown_nowhere(
  words, way, capsys, monkeypatch, tmp_path
):
  asked = str(sweep_cases.write(tmp_path, rates=(0.1,), seeds=1))
  sweep = ("sweep", asked, "--workdir", "/shared/sweep")
  url = "postgresql+psycopg2://user:verysecret@host/database"
  given = {
    "word": [f"--storage={url}"],
    "two words": ["--storage", url],
    "environment": [],
  }[way]
  if way == "environment":
    monkeypatch.setenv("JAXVISION_STORAGE", url)
  shown = _shown(capsys, *words, "--dry-run", "--", *sweep, *given)
  assert "verysecret" not in shown
  assert "/shared/sweep" in shown


def test_local_processes_have_the_storage_in_their_environment(tmp_path):
  """A program instead of Python prints its arguments."""
  job = launch.job.Job(
    command=("sweep", "--workdir", "w"),
    folder=tmp_path / "launch",
    python=fake_programs.write(
      tmp_path / "python",
      """
      import os, pathlib, sys
      said = pathlib.Path(__file__).with_name("said")
      said.write_text(os.environ["JAXVISION_STORAGE"] + str(sys.argv[1:]))
      """,
    ),
    secrets={"JAXVISION_STORAGE": "sqlite:///x"},
  )
  assert launch.local.launch(job, launch.local.Options(processes=1)) == 0
  said = (tmp_path / "said").read_text()
  assert said == "sqlite:///x['-m', 'jaxvision', 'sweep', '--workdir', 'w']"


def test_a_command_without_a_workdir_needs_a_place_for_logs(tmp_path, capsys):
  words = ["local", "--processes=1", "--dry-run"]
  assert cli.main(["launch", *words, "--", "models"]) == 2
  assert "'models' has no workdir" in capsys.readouterr().err
  shown = _shown(capsys, *words, f"--logs={tmp_path}", "--", "models", "vit*")
  assert "-m jaxvision models 'vit*'" in shown


def test_ray_gets_the_arguments_of_the_command(tmp_path, capsys):
  train = ["train", "--config", _RECIPE, "--workdir", str(tmp_path)]
  more = ["--overfit=5", "--profile=steps=1:3", "--config.seed=3"]
  shown = _shown(capsys, "ray", "--workers=2", "--dry-run", "--", *train, *more)
  settings = json.loads(shown[shown.index("\n") :])
  assert settings["train_loop_config"]["train"] == {
    "recipe": _RECIPE,
    "workdir": str(tmp_path),
    "overrides": {"seed": "3"},
    "overfit": 5,
    "profile": "steps=1:3",
  }


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["local", "--processes=2"], "no command to launch; add a command"),
    (["local", "--processes=2", "--", "trian"], "did you mean 'train'"),
    (
      ["local", "--processes=2", "--", *_TRAIN, "--config.sede=1"],
      "'seed'",
    ),
    (
      [
        "local",
        "--processes=1",
        "--",
        "train",
        "--config=no.py",
        "--workdir=w",
      ],
      "no recipe 'no.py'",
    ),
    (
      ["local", "--processes=2", "--gpus=1", "--devices=1", "--", *_TRAIN],
      "give only one of them",
    ),
    (["slurm", "--time=2h", "--", *_TRAIN], "'2h' is not in SLURM's format"),
    (
      ["ray", "--workers=2", "--logs=w", "--", "models"],
      "Ray runs only trainings, sweeps and searches, not 'models'",
    ),
    (["slurm", "--array=2", "--", *_TRAIN], "--array is for sweeps"),
    (["local", "--processes=2", "--", *_SWEEP], "write sweep --workers N"),
    (["slurm", "--nodes=2", "--", *_SWEEP], "write --array N"),
    (["slurm", "--nodes=2", "--", *_SEARCH], "write --array N"),
    (["slurm", "--", *_SEARCH, "--searchers=evolutoin"], "'evolution'"),
    (["tpu", *_TPU, "--", *_SWEEP], "manually on single hosts"),
    (
      ["slurm", "--", *_SWEEP, "--config.optimizer.learning_rat=1"],
      "'optimizer.learning_rat'",
    ),
    (
      ["tpu", *_TPU, "--", *_TRAIN[:-1], "runs/x"],
      "--workdir runs/x is a folder on each worker",
    ),
  ],
)
def test_mistakes_are_one_clear_line(
  words, expected, capsys, tmp_path, monkeypatch
):
  monkeypatch.setenv("PATH", "")
  monkeypatch.chdir(tmp_path)
  assert cli.main(["launch", *words]) == 2
  error = capsys.readouterr().err
  assert error.startswith("jaxvision: ") and error.count("\n") == 1
  assert expected in error
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
  ("words", "expected"),
  [
    (["lokal"], "invalid choice: 'lokal'"),
    (["local", "--", *_TRAIN], "required: --processes"),
    (
      ["local", "--processes=0", "--", *_TRAIN],
      "'0' is not an integer of at least 1",
    ),
    (
      ["ray", "--workers=2:", "--", *_TRAIN],
      "'2:' is not a number of workers; write 4, or 2:4",
    ),
    (
      ["local", "--processes=2", "--", "train", "--config", _RECIPE],
      "required: --workdir",
    ),
    (
      ["local", "--processes=2", "--", *_TRAIN, "--stpes=3"],
      "unrecognised argument: --stpes=3",
    ),
    (
      ["local", "--proceses=2", "--processes=2", "--", *_TRAIN],
      "unrecognised argument: --proceses=2",
    ),
    (
      ["local", "--processes=1", "--logs=w", "--", "models", "--config.seed=1"],
      "models does not accept --config.KEY=VALUE",
    ),
  ],
)
def test_wrong_arguments_show_the_usage(words, expected, capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(["launch", *words])
  assert stop.value.code == 2
  assert expected in capsys.readouterr().err


def test_the_exit_code_is_that_of_the_run(tmp_path):
  """`jaxvision` exits with 2 if the processes do."""
  words = [f"--logs={tmp_path}", "--", "report", str(tmp_path / "none")]
  assert cli.main(["launch", "local", "--processes=1", *words]) == 2
