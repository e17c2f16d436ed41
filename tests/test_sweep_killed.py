"""Workers are killed at random moments; every trial finishes exactly once."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import postgres
import pytest
import tiny_runs

from jaxvision import tracking

_TEXT = """
from jaxvision import sweep
QUESTION = "Which rate?"
BASE = {recipe!r}
OVERRIDES = {{
  "train.duration": "40 steps",
  "evaluate.every": "10 steps",
  "checkpoint.every": "10 steps",
  "log.every": "10 steps",
  "log.tensorboard": False,
}}
SPACE = {{
  "optimizer.learning_rate": sweep.log_uniform(1e-3, 1e-1),
  "seed": sweep.seeds(2),
}}
OBJECTIVE = sweep.minimize("validation/loss")
READ = "The lowest."
"""
_TRIALS = 24
# Bits are the same on the same devices.
_ENVIRONMENT = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}


@pytest.fixture
def storage(request):
  """The URL of a storage: SQLite in the folder, or a real PostgreSQL."""
  if request.param == "sqlite":
    yield ""
    return
  if postgres.binaries() is None:
    pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
  with postgres.serve() as url:
    yield url


def _start(tmp_path: pathlib.Path, storage: str) -> subprocess.Popen:
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  asked = tmp_path / "asked.py"
  asked.write_text(_TEXT.format(recipe=str(tmp_path / "recipe.py")), "utf-8")
  workdir = tmp_path / "sweep"
  command = [sys.executable, "-m", "jaxvision", "sweep", str(asked)]
  command += ["--workdir", str(workdir), "--trials", str(_TRIALS // 2)]
  command += ["--workers", "2", "--grace", "6", "--storage", storage]
  return subprocess.Popen(command, env=_ENVIRONMENT)


def _children(process: subprocess.Popen) -> list[int]:
  path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
  return [int(word) for word in path.read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"], indirect=True)
def test_every_trial_finishes_once_whoever_is_killed(tmp_path, storage):
  draw = random.Random(0)
  leader = _start(tmp_path, storage)
  killed = []
  started = time.monotonic()
  while leader.poll() is None:
    time.sleep(draw.uniform(4, 12))
    crew = _children(leader) if leader.poll() is None else []
    if crew and len(killed) < 12:
      killed.append(draw.choice(crew))
      os.kill(killed[-1], signal.SIGKILL)
  assert leader.returncode == 0
  folders = sorted((tmp_path / "sweep" / "trials").iterdir())
  assert [folder.name for folder in folders] == [
    f"{number:04d}" for number in range(_TRIALS)
  ]
  trials = [json.loads((f / "trial.json").read_text()) for f in folders]
  assert {trial["state"] for trial in trials} == {"complete"}
  assert len(killed) >= 5
  attempts = sum(trial["attempt"] - 1 for trial in trials)
  print(
    f"{len(killed)} kills, {attempts} trials taken up, "
    f"{time.monotonic() - started:.0f} s"
  )
  for folder in folders:
    steps = [
      row["step"]
      for row in tracking.read_metrics(folder)
      if "validation/loss" in row
    ]
    assert steps == [10, 20, 30, 40]
  _assert_as_never_killed(tmp_path, max(trials, key=lambda t: t["attempt"]))


def _assert_as_never_killed(tmp_path, trial):
  """The trial has the fingerprint of the same run in one go."""
  alone = tmp_path / "alone"
  command = [sys.executable, "-m", "jaxvision", "train"]
  command += ["--config", str(tmp_path / "recipe.py"), "--workdir", str(alone)]
  command += [f"--config.{k}={v}" for k, v in trial["overrides"].items()]
  subprocess.run(command, env=_ENVIRONMENT, check=True)
  folder = tmp_path / "sweep" / "trials" / f"{trial['number']:04d}"
  found, expected = (
    json.loads((each / "result.json").read_text()) for each in (folder, alone)
  )
  assert found["fingerprint"] == expected["fingerprint"]
