"""Kills workers of a sweep at random moments: does every trial finish once?

  python experiments/benchmarks/sweep_kills.py
  python experiments/benchmarks/sweep_kills.py --storage postgresql+psycopg2://...
  python experiments/benchmarks/sweep_kills.py --vectorize 8

Needs the digits: `jaxvision data prepare digits`. Runs a sweep of 24 trials of
the digits mlp with --workers processes. At random times one random worker gets
SIGKILL (--seed determines both), in any phase: starting, compiling, training,
saving. After --grace seconds without a heartbeat another worker, or the worker
that replaces the killed one, resumes the trial from its last checkpoint. At the
end the script counts how often each trial has finished in the storage, and how
often each evaluation is in its metrics. It also checks that the parameters of
interrupted trials equal those of the same run without interruption, bit for
bit. (With --vectorize they are equal only up to rounding, and are not
compared.)
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision.runs import metrics_log

_RECIPE = str(pathlib.Path(__file__).parents[2] / "configs" / "digits.py:mlp")
_OVERRIDES = {
  "train.duration": "800 steps",
  "train.steps_per_dispatch": 1,
  "evaluate.every": "100 steps",
  "checkpoint.every": "100 steps",
  "log.every": "100 steps",
  "log.tensorboard": False,
}
_TEXT = """
from jaxvision import sweep
QUESTION = "Does every trial finish once?"
BASE = {recipe!r}
OVERRIDES = {overrides!r}
SPACE = {{
  "optimizer.learning_rate": {rates},
  "seed": sweep.seeds(2),
}}
OBJECTIVE = sweep.maximize("validation_ema/top1")
READ = "Every trial must finish once."
"""
_RATES = "sweep.log_uniform(1e-3, 1e-2)"
# Results are bit-exact on the same devices only.
_ENVIRONMENT = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}


def run(
  folder: pathlib.Path,
  *,
  trials: int,
  kills: int,
  seconds: tuple[float, float],
  seed: int = 0,
  recipe: str = _RECIPE,
  overrides: Mapping[str, Any] | None = None,
  options: Sequence[str] = (),
  rates: str = _RATES,
) -> dict[str, Any]:
  """Runs a sweep whose workers are killed.

  Args:
    folder: for the experiment, and FOLDER/sweep.
    trials: number of trials, even.
    kills: largest number of kills.
    seconds: the shortest and longest time between two kills.
    seed: of the times and the killed workers.
    recipe: of the trials.
    overrides: of the recipe; with the default a trial takes some seconds.
    options: more options of `jaxvision sweep`.
    rates: the axis of the learning rate, as in an experiment file.

  Returns:
    code: of the sweep; seconds: its time; kills: number of kills.
  """
  asked = folder / "asked.py"
  given = _OVERRIDES if overrides is None else dict(overrides)
  text = _TEXT.format(recipe=recipe, overrides=given, rates=rates)
  asked.write_text(text, "utf-8")
  command = [sys.executable, "-m", "jaxvision", "sweep", str(asked)]
  command += [f"--workdir={folder / 'sweep'}", f"--trials={trials // 2}"]
  draw, done, started = random.Random(seed), 0, time.monotonic()
  leader = subprocess.Popen([*command, *options], env=_ENVIRONMENT)
  while leader.poll() is None:
    time.sleep(draw.uniform(*seconds))
    crew = _children(leader.pid)
    if crew and done < kills:
      os.kill(draw.choice(crew), signal.SIGKILL)
      done += 1
  took = time.monotonic() - started
  return {"code": leader.returncode, "seconds": took, "kills": done}


def _children(process: int) -> list[int]:
  path = pathlib.Path(f"/proc/{process}/task/{process}/children")
  try:
    return [int(word) for word in path.read_text().split()]
  except FileNotFoundError:  # the worker has ended
    return []


def read_trials(sweep: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the record and the folder of each trial, by number."""
  return [
    {**json.loads(path.read_text("utf-8")), "folder": path.parent}
    for path in sorted(sweep.glob("trials/*/trial.json"))
  ]


def endings(sweep: pathlib.Path, storage: str) -> dict[int, list[str]]:
  """Returns the states of the attempts of each trial, from the storage."""
  import optuna

  optuna.logging.set_verbosity(optuna.logging.WARNING)
  name = json.loads((sweep / "sweep.json").read_text("utf-8"))["study"]
  url = storage or f"sqlite:///{sweep / 'sweep.db'}"
  found = collections.defaultdict(list)
  for each in optuna.load_study(study_name=name, storage=url).trials:
    found[each.user_attrs["origin"]].append(each.state.name)
  return dict(found)


def measured(folder: pathlib.Path) -> list[int]:
  """Returns the steps of all evaluations in a run's metrics, in order."""
  return [
    row["step"]
    for row in metrics_log.read_metrics(folder)
    if any(name.startswith("validation/") for name in row)
  ]


def fingerprint(folder: pathlib.Path) -> str:
  """Returns the fingerprint of the parameters at the end of a run."""
  return json.loads((folder / "result.json").read_text("utf-8"))["fingerprint"]


def in_one_go(
  trial: Mapping[str, Any], folder: pathlib.Path, *, recipe: str = _RECIPE
) -> str:
  """Returns the fingerprint of the same run without interruption."""
  workdir = folder / f"alone-{trial['number']}"
  command = [sys.executable, "-m", "jaxvision", "train", "--config", recipe]
  command += [f"--workdir={workdir}"]
  command += [f"--config.{k}={v}" for k, v in trial["overrides"].items()]
  subprocess.run(command, env=_ENVIRONMENT, check=True, capture_output=True)
  return fingerprint(workdir)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the sweep of the command line and prints the counts."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--trials", type=int, default=24)
  parser.add_argument("--kills", type=int, default=20, help="at most")
  parser.add_argument("--every", nargs=2, type=float, default=(2.0, 8.0))
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--workers", type=int, default=2)
  parser.add_argument("--grace", type=int, default=6)
  parser.add_argument("--vectorize", default="none")
  parser.add_argument("--storage", default="", help="URL of a database")
  parser.add_argument("--compare", type=int, default=3, help="at most")
  asked = parser.parse_args(arguments)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    done = run(
      folder,
      trials=asked.trials,
      kills=asked.kills,
      seconds=tuple(asked.every),
      seed=asked.seed,
      options=[
        *(f"--workers={asked.workers}", f"--grace={asked.grace}"),
        *(f"--vectorize={asked.vectorize}", f"--storage={asked.storage}"),
      ],
    )
    _print(folder, done, asked)


def _print(
  folder: pathlib.Path, done: Mapping[str, Any], asked: argparse.Namespace
) -> None:
  sweep = folder / "sweep"
  trials, ends = read_trials(sweep), endings(sweep, asked.storage)
  states = collections.Counter(trial["state"] for trial in trials)
  print(
    f"code {done['code']}, {done['kills']} kills in {done['seconds']:.0f} s; "
    f"{len(trials)} trials: {dict(states)}"
  )
  once = sum(each.count("COMPLETE") == 1 for each in ends.values())
  attempts = collections.Counter(trial["attempt"] for trial in trials)
  print(f"finished exactly once: {once}; trials by attempts: {dict(attempts)}")
  expected = list(range(100, 801, 100))
  whole = sum(measured(trial["folder"]) == expected for trial in trials)
  print(f"each evaluation exactly once: {whole}")
  if asked.vectorize != "none":
    return
  hurt = sorted(trials, key=lambda trial: -trial["attempt"])[: asked.compare]
  same = sum(fingerprint(t["folder"]) == in_one_go(t, folder) for t in hurt)
  print(f"same bits as without interruption: {same} of {len(hurt)}")


if __name__ == "__main__":
  main()
