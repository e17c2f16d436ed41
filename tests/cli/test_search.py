"""The command `jaxvision search`, and `report` of a search."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import search_cases
import tiny_runs

from jaxvision import cli
from jaxvision import config as configs
from jaxvision.runs import metrics_log


def test_a_dry_run_lists_both_stages_and_starts_nothing(tmp_path, capsys):
  asked = search_cases.write(tmp_path)
  before = sorted(tmp_path.iterdir())
  words = ["search", str(asked), "--dry-run", "--config.train.batch_size=8"]
  assert cli.main(words) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("4 searches of ")
  assert lines[0].endswith("--config.train.batch_size=8")
  assert "evolution_population=3_sample=2-0: 5 runs; 3 are known" in lines[1]
  assert lines[2].startswith("0000  '--config.model.options.arch=|")
  assert any(line.startswith("random-1: 5 runs; 5 are") for line in lines)
  assert "the best child of each searcher with 2 seeds" in lines[-1]
  assert "--config.model.options.channels=4" in lines[-1]
  assert sorted(tmp_path.iterdir()) == before


def test_searchers_with_options_are_separated_by_commas(tmp_path, capsys):
  asked = search_cases.write(tmp_path)
  names = "random, evolution(population=4, sample=2),local_search"
  words = ["search", str(asked), "--dry-run", f"--searchers={names}"]
  words += ["--search-seeds=1", "--trials=2", "--final-seeds=7"]
  assert cli.main(words) == 0
  printed = capsys.readouterr().out
  assert printed.startswith("3 searches")
  assert "evolution_population=4_sample=2-0: 2 runs" in printed
  assert "with 7 seeds" in printed


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["ASKED"], "give --workdir"),
    (["nowhere.py"], "no experiment 'nowhere.py'"),
    (["ASKED", "--searchers=evolutoin"], "did you mean 'evolution'"),
    (["ASKED", "--trials=0"], "CHILDREN (--trials)"),
    (["ASKED", "--vectorize=all", "--dry-run"], "give auto, none, or a number"),
    (["ASKED", "--config.optimizer.learning_rat=1"], "did you mean"),
  ],
)
def test_errors_are_reported_before_a_child_starts(
  tmp_path, words, message, capsys
):
  asked = str(search_cases.write(tmp_path))
  words = [asked if word == "ASKED" else word for word in words]
  assert cli.main(["search", *words]) == 2
  assert message in capsys.readouterr().err


def test_the_command_report_knows_a_search(tmp_path, capsys):
  workdir = search_cases.write_folder(tmp_path / "W", {"random-0": []})
  assert cli.main(["report", str(workdir)]) == 0
  assert f"report: {workdir}/report.html" in capsys.readouterr().out


_MORE = """
BASE = {recipe!r}
OVERRIDES = {{
  "model.name": "nasbench201",
  "model.options": {{"cells": 1, "channels": 2, "stages": 1}},
  "data.num_classes": 3,
  "train.duration": "4 steps",
  "evaluate.every": "2 steps",
  "evaluate.explain": "",
  "checkpoint.every": "2 steps",
  "checkpoint.best": "",
  "log.tensorboard": False,
}}
SEARCHERS = ("evolution(population=2, sample=2)", "random")
CHILDREN = 4
"""


def _command(asked, workdir):
  words = ["search", str(asked), f"--workdir={workdir}", "--grace=6"]
  return [sys.executable, "-m", "jaxvision", *words]


def _start(asked, workdir):
  return subprocess.Popen(
    _command(asked, workdir),
    env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    start_new_session=True,
  )


def _kill_a_worker(parent):
  """Kills the newest process that a command has started."""
  path = f"/proc/{parent}/task/{parent}/children"
  with open(path, encoding="ascii") as file:
    children = [int(number) for number in file.read().split()]
  if children:
    os.kill(children[-1], signal.SIGKILL)
  return bool(children)


@pytest.mark.slow
def test_killed_workers_lose_no_child_and_change_no_winner(tmp_path):
  """With one worker, proposals do not depend on the time of a kill."""
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  recipe = (tmp_path / "recipe.py").read_text("utf-8")
  asked = search_cases.write(
    tmp_path, more=_MORE.format(recipe=str(tmp_path / "tiny.py"))
  )
  (tmp_path / "tiny.py").write_text(recipe, "utf-8")
  whole = _start(asked, tmp_path / "whole")
  printed, _ = whole.communicate()
  assert whole.returncode == 0, printed
  rng, kills = random.Random(0), 0
  hurt = _start(asked, tmp_path / "hurt")
  while hurt.poll() is None:
    time.sleep(rng.uniform(8, 20))
    if kills < 4 and hurt.poll() is None:
      kills += _kill_a_worker(hurt.pid)
  printed = hurt.stdout.read()
  assert hurt.returncode == 0, printed
  assert kills >= 2
  for folder in ("evolution_population=2_sample=2-0", "random-1", "final"):
    pair = [
      search_cases.read_trials(tmp_path / name / folder)
      for name in ("whole", "hurt")
    ]
    assert [
      (t["number"], t["state"], t["value"], t["overrides"]) for t in pair[0]
    ] == [
      (t["number"], t["state"], t["value"], t["overrides"]) for t in pair[1]
    ]
    for trial in pair[1]:
      run = tmp_path / "hurt" / folder / "trials" / f"{trial['number']:04d}"
      lines = metrics_log.read_metrics(run)
      measured = [x["step"] for x in lines if search_cases.METRIC in x]
      assert measured == sorted(set(measured))
  networks = [
    json.loads((tmp_path / name / "final" / "networks.json").read_text())
    for name in ("whole", "hurt")
  ]
  assert networks[0] == networks[1]
  for path in (tmp_path / "hurt" / "recipes").glob("*.py"):
    assert configs.load(str(path)).model.name == "nasbench201"
  assert (tmp_path / "hurt" / "report.html").exists()
