"""The commands on the page reproduce the run of the page."""

import ast
import shlex
import subprocess

import fake_runs
import pytest

from jaxvision.report import html, provenance
from jaxvision.runs import reading

# Fields of each start that the tests do not set.
_START = {"started": "2026-01-31T12:00:00+00:00", "step": 0}


@pytest.fixture
def run_with(tmp_path):
  def make(overrides, environment=()):
    workdir = tmp_path / "a run"
    workdir.mkdir()
    fake_runs.write_json(
      workdir / "config.json",
      {"recipe": "c.py:vit", "overrides": overrides, "config": {"seed": 1}},
    )
    if environment:
      starts = [{**_START, **each} for each in environment]
      fake_runs.write_json(workdir / "environment.json", starts)
    return reading.read_run(workdir)

  return make


def test_train_command_survives_the_shell(run_with):
  overrides = {
    "data.name": "it's <here>",
    "data.mean": [0.5],
    "optimizer.learning_rate_rules": [["head.*", 1.0], [".*", None]],
    "seed": 3,
  }
  command = provenance.train_command(run_with(overrides), workdir="a run")
  script = f"set -- {command}\nprintf '%s\\n' \"$@\""
  words = subprocess.check_output(["sh", "-c", script], text=True).splitlines()
  assert words[:6] == (
    ["jaxvision", "train", "--config", "c.py:vit", "--workdir", "a run"]
  )
  flags = dict(word.split("=", 1) for word in words[6:])
  assert flags["--config.data.name"] == "it's <here>"
  assert flags["--config.seed"] == "3"
  mean, rules = (
    ast.literal_eval(flags[f"--config.{key}"])
    for key in ("data.mean", "optimizer.learning_rate_rules")
  )
  assert mean == (0.5,)
  assert rules == (("head.*", 1.0), (".*", None))


def test_train_command_has_the_examples_to_memorise(tmp_path):
  """Without --overfit the folder would belong to another config."""
  origin = {"recipe": "c.py", "overrides": {}, "config": {}, "overfit": 16}
  fake_runs.write_json(tmp_path / "config.json", origin)
  command = provenance.train_command(reading.read_run(tmp_path), workdir="w")
  assert command == ("jaxvision train --config c.py --workdir w --overfit=16")


def test_commands_quote_the_folder_and_name_the_commit(run_with):
  run = run_with({}, [{"commit": "4f1c2ab"}, {"commit": "4f1c2ab"}])
  (_, _, _), (_, _, _), (_, commands, _) = provenance.parts(run)
  assert "git checkout 4f1c2ab" in commands
  folder = html.escape(shlex.quote(str(run.workdir)))
  for verb in ("evaluate", "predict"):
    assert f"jaxvision {verb} --workdir {folder}" in commands


@pytest.mark.parametrize(
  ("data", "split"),
  [
    ({}, ""),
    ({"test": "test"}, ""),
    ({"test": "", "validation": "train[90%:]"}, " --split validation"),
    ({"test": "", "validation": "", "folds": 5}, " --split validation"),
    ({"test": "", "validation": ""}, " --split train"),
  ],
)
def test_a_run_without_a_test_split_is_evaluated_on_another(
  tmp_path, data, split
):
  origin = {"recipe": "c.py", "overrides": {}, "config": {"data": data}}
  fake_runs.write_json(tmp_path / "config.json", origin)
  commands = provenance.parts(reading.read_run(tmp_path))[-1][1]
  assert f"jaxvision evaluate --workdir {tmp_path}{split}</pre>" in commands


def test_uncommitted_changes_are_named(run_with):
  run = run_with({}, [{"commit": "4f1c2ab+"}])
  commands = provenance.parts(run)[-1][1]
  assert "git checkout 4f1c2ab  # plus uncommitted changes" in commands


def test_versions_that_changed_between_starts_are_both_shown(run_with):
  run = run_with({}, [{"jax": "1.0", "numpy": "2"}, {"jax": "1.1"}])
  environment = {t: c for t, c, _ in provenance.parts(run)}["Environment"]
  assert "<dd>1.0 → 1.1</dd>" in environment
  assert "<dd>2</dd>" in environment
