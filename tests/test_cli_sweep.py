"""`jaxvision sweep` and `report`, as a user types them."""

import json
import os
import subprocess
import sys

import pytest
import sweeps

from jaxvision import cli, tracking


@pytest.fixture
def asked(tmp_path):
  """The path of an experiment of four tiny runs."""
  return sweeps.write(
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


@pytest.mark.parametrize(
  ("words", "message"),
  [
    ([], "say either FILE.py"),
    (["ASKED"], "give --workdir"),
    (["ASKED", "--searcher=gird", "--dry-run"], "did you mean 'grid'"),
    (["ASKED", "--vectorize=all", "--dry-run"], "give auto, none, or how many"),
    (["ASKED", "--config.optimizer.learning_rat=1"], "did you mean"),
    (["--rerun", "nowhere"], "is no sweep"),
  ],
)
def test_what_is_wrong_is_said_before_anything_runs(
  asked, words, message, capsys
):
  words = [str(asked) if word == "ASKED" else word for word in words]
  assert cli.main(["sweep", *words]) == 2
  assert message in capsys.readouterr().err


def _run(*words):
  command = [sys.executable, "-m", "jaxvision", "sweep", *map(str, words)]
  environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
  return subprocess.run(
    command, env=environment, capture_output=True, text=True, check=True
  ).stdout


@pytest.mark.slow
@pytest.mark.parametrize("vectorize", ["none", "auto"])
def test_a_sweep_from_the_command_to_its_report(asked, tmp_path, vectorize):
  workdir = tmp_path / "sweep"
  words = (asked, "--workdir", workdir, f"--vectorize={vectorize}")
  printed = _run(*words)
  assert "4 complete, best " in printed
  assert printed.splitlines()[-1] == f"report: {workdir}/report.html"
  folders = sorted((workdir / "trials").iterdir())
  assert len(folders) == 4
  for folder in folders:
    trial = json.loads((folder / "trial.json").read_text())
    rows = tracking.read_metrics(folder)
    measured = [row for row in rows if "validation/top1" in row]
    assert trial["state"] == "complete"
    assert trial["value"] == measured[-1]["validation/top1"]
    together = any("runs_together" in row for row in rows)
    assert together == (vectorize == "auto")
  # The same command again has nothing to do.
  before = [os.stat(folder / "metrics.jsonl").st_mtime for folder in folders]
  _run(*words)
  after = [os.stat(folder / "metrics.jsonl").st_mtime for folder in folders]
  assert before == after
  again = tmp_path / "again"
  rerun = ("--rerun", workdir, "--top", 1, "--seeds", 3, "--workdir", again)
  assert "3 complete" in _run(*rerun)
  assert cli.main(["report", str(again)]) == 0
