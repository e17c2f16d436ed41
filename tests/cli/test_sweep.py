"""The commands `jaxvision sweep` and `report` of a sweep."""

import html
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import sweep_cases
import tiny_runs

from jaxvision import cli
from jaxvision import config as configs
from jaxvision.runs import metrics_log


@pytest.fixture
def asked(tmp_path):
  """The path of an experiment of four tiny runs."""
  return sweep_cases.write(
    tmp_path,
    rates=(0.1, 0.3),
    seeds=2,
    data__placement="device",
    log__tensorboard=False,
  )


def test_a_dry_run_lists_the_runs_and_starts_none(asked, tmp_path, capsys):
  words = ["sweep", str(asked), "--dry-run", "--config.train.batch_size=8"]
  assert cli.main(words) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("4 runs of ")
  assert lines[0].endswith("--config.train.batch_size=8")
  assert lines[2] == (
    "0001  --config.optimizer.learning_rate=0.1  --config.seed=1"
  )
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    "asked.py",
    "data.npz",
    "recipe.py",
  ]


def test_seeds_replace_those_of_the_file(asked, capsys):
  assert cli.main(["sweep", str(asked), "--seeds=1", "--dry-run"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("2 runs of ")
  assert lines[1].endswith("--config.seed=0")
  assert lines[2].endswith("learning_rate=0.3  --config.seed=0")


def test_folds_are_added_to_those_of_the_file(asked, capsys):
  words = ["sweep", str(asked), "--seeds=1", "--folds=2", "--dry-run"]
  assert cli.main(words) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith("4 runs of ")
  assert lines[3].startswith(
    "0002  --config.data.folds=2  --config.data.fold=1"
  )


@pytest.mark.parametrize(
  ("words", "message"),
  [
    ([], "give either FILE.py"),
    (["ASKED"], "give --workdir"),
    (["ASKED", "--searcher=gird", "--dry-run"], "did you mean 'grid'"),
    (["ASKED", "--vectorize=all", "--dry-run"], "give auto, none, or a number"),
    (["ASKED", "--trials=5", "--dry-run"], "--trials 5 has no effect"),
    (["ASKED", "--trials=20", "--dry-run"], "a grid, which draws nothing"),
    (["ASKED", "--seed=0", "--dry-run"], "--seed 0 has no effect"),
    (["ASKED", "--searcher=tpe", "--trials=5", "--dry-run"], "leave it out"),
    (["ASKED", "--top=3", "--dry-run"], "--top 3 needs --rerun SWEEP"),
    (["ASKED", "--seeds=0", "--dry-run"], "the number of seeds is 0"),
    (["ASKED", "--folds=1", "--dry-run"], "the number of folds is 1"),
    (["ASKED", "--config.optimizer.learning_rat=1"], "did you mean"),
    (["--rerun", "nowhere"], "is not a sweep"),
  ],
)
def test_errors_are_reported_before_a_trial_starts(
  asked, words, message, capsys
):
  words = [str(asked) if word == "ASKED" else word for word in words]
  assert cli.main(["sweep", *words]) == 2
  assert message in capsys.readouterr().err


def test_a_dry_run_shows_plain_numbers(tmp_path, capsys):
  """The text of numpy's drawn numbers would contain their type."""
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  asked = tmp_path / "asked.py"
  asked.write_text(_DRAWN.format(recipe=str(tmp_path / "recipe.py")), "utf-8")
  for searcher in ("random", "quasi_random", "tpe"):
    words = ["sweep", str(asked), "--trials=3", f"--searcher={searcher}"]
    assert cli.main([*words, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "float64" not in printed
    for line in printed.splitlines()[1:]:
      flags = shlex.split(line)[1:]
      if searcher != "tpe":
        overrides = dict(f[len("--config.") :].split("=") for f in flags)
        configs.load(str(tmp_path / "recipe.py"), overrides)


_DRAWN = """
from jaxvision import sweep
QUESTION = "Which?"
BASE = {recipe!r}
SPACE = {{
  "optimizer.learning_rate": sweep.log_uniform(1e-3, 1),
  "data.device_transforms": sweep.template(
    ("random_mixup({{alpha}})",), alpha=sweep.uniform(0.1, 0.9)
  ),
}}
OBJECTIVE = sweep.maximize("validation/top1")
READ = "The highest."
"""


def _run(*words):
  done = _ended(*words)
  assert done.returncode == 0, done.stderr
  return done.stdout


def _ended(*words):
  command = [sys.executable, "-m", "jaxvision", "sweep", *map(str, words)]
  environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
  return subprocess.run(
    command, env=environment, capture_output=True, text=True
  )


@pytest.mark.slow
@pytest.mark.parametrize("vectorize", ["none", "auto"])
def test_a_sweep_from_the_command_to_its_report(asked, tmp_path, vectorize):
  workdir = tmp_path / "sweep"
  words = (asked, "--workdir", workdir, f"--vectorize={vectorize}")
  printed = _run(*words)
  assert "4 complete, best trial " in printed
  *_, best, last = printed.splitlines()
  assert best.startswith("best setting: learning_rate=")
  assert best.endswith("%], 2 seeds")
  assert last == f"report: {workdir}/report.html"
  folders = sorted((workdir / "trials").iterdir())
  assert len(folders) == 4
  for folder in folders:
    trial = json.loads((folder / "trial.json").read_text())
    rows = metrics_log.read_metrics(folder)
    measured = [row for row in rows if "validation/top1" in row]
    assert trial["state"] == "complete"
    assert trial["value"] == measured[-1]["validation/top1"]
    together = any("runs_together" in row for row in rows)
    assert together == (vectorize == "auto")
  # The same command again does nothing.
  before = [os.stat(folder / "metrics.jsonl").st_mtime for folder in folders]
  _run(*words)
  after = [os.stat(folder / "metrics.jsonl").st_mtime for folder in folders]
  assert before == after
  again = tmp_path / "again"
  rerun = ("--rerun", workdir, "--top", 1, "--seeds", 3, "--workdir", again)
  assert "3 complete" in _run(*rerun)
  assert cli.main(["report", str(again)]) == 0
  # The command on the page trains the best trial as a separate run.
  page = html.unescape((workdir / "report.html").read_text("utf-8"))
  [command] = re.findall(r"<pre>(jaxvision train .*?)</pre>", page, re.DOTALL)
  program = f"{sys.executable} -m jaxvision"
  subprocess.run(
    ["sh", "-c", command.replace("jaxvision", program, 1)],
    env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
    check=True,
  )
  best = json.loads((tmp_path / "sweep-best" / "result.json").read_text())
  assert best["status"] == "finished"


@pytest.mark.slow
def test_a_misspelt_objective_ends_a_sweep_before_its_first_run(
  asked, tmp_path
):
  text = asked.read_text("utf-8").replace("validation/top1", "validation/topl")
  asked.write_text(text, "utf-8")
  done = _ended(asked, "--workdir", tmp_path / "sweep")
  assert done.returncode == 1
  assert "did you mean 'validation/top1'" in done.stderr
  assert "correct OBJECTIVE" in done.stderr
  assert not (tmp_path / "sweep" / "trials").exists()


@pytest.mark.slow
def test_a_sweep_without_a_complete_trial_is_a_failure(asked, tmp_path):
  rate = "--config.loss.l2=1e38"  # exceeds float32, for any weights
  done = _ended(asked, "--workdir", tmp_path / "sweep", rate)
  assert done.returncode == 1
  assert "none of 4 trials is complete; " in done.stderr
  assert "ended with: diverged: stopped at step 1" in done.stderr
  assert (tmp_path / "sweep" / "report.html").exists()
