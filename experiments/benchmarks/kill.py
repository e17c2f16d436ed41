"""Kills a training of two processes at random moments and compares its result.

  python experiments/benchmarks/kill.py --kills 24 --seed 0 --steps 1500

`jaxvision launch local` trains an MLP on the digits, with dropout, shifted
images and a moving average. The script sends SIGKILL or SIGTERM repeatedly to
one of its processes, or to both, in each phase of a run in turn:

  starting     at a moment of the first seconds: imports, connecting to the
               other process, restoring, compiling
  stepping     as soon as a random step is written
  saving       as soon as files of an unfinished checkpoint exist
  evaluating   after the last step before an evaluation, before its result

The launcher restarts both processes. At the end the run must equal an
uninterrupted run: the same fingerprint of the whole state, every step in
metrics.jsonl once, with the same numbers except times, the same evaluations.
Any difference is an error.

The script prints a line for each kill: the signal, the time until both
processes had ended, and the step at which the run resumed.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxvision import data

Path = pathlib.Path

_RECIPE = Path(__file__).parents[2] / "configs" / "digits.py:mlp"
_PROCESSES = 2
_EVALUATION = 40
_OVERRIDES = {
  "model.options.hidden": (512, 512),
  "model.options.dropout": 0.1,
  "train.batch_size": 16,
  "train.steps_per_dispatch": 1,
  "evaluate.every": f"{_EVALUATION} steps",
  "evaluate.batch_size": 16,
  "checkpoint.every": "60 steps",
  "log.every": "1 steps",
  "log.tensorboard": False,
}
# The keys of a line of metrics.jsonl that do not depend on the machine.
_NUMBERS = ("train/", "validation", "gradient_norm", "learning_rate")
# The assumed length of a start, and the longest wait for an event.
_START_SECONDS, _TIMEOUT = 12.0, 300.0


@dataclasses.dataclass(frozen=True)
class Kill:
  """A signal that is sent to a run.

  Attributes:
    phase: a key of `PHASES`.
    step: the run must have reached it.
    number: the signal.
    victims: the processes that receive it.
    delay: seconds from the beginning of the phase.
  """

  phase: str
  step: int
  number: signal.Signals
  victims: tuple[int, ...]
  delay: float


def plan(*, kills: int, steps: int, seed: int) -> list[Kill]:
  """Returns kills in the order of steps; equally many of each phase."""
  moments = random.Random(seed)
  phases = [list(PHASES)[i % len(PHASES)] for i in range(kills)]
  moments.shuffle(phases)
  # The last evaluation must be after the kill.
  at = sorted(moments.choices(range(steps - _EVALUATION), k=kills))
  return [
    Kill(
      phase,
      step,
      moments.choice((signal.SIGKILL, signal.SIGTERM)),
      moments.choice(((0,), (1,), (0, 1))),
      moments.uniform(0, _START_SECONDS if phase == "starting" else 0.02),
    )
    for phase, step in zip(phases, at, strict=True)
  ]


def _starting(workdir: Path, step: int, since: float) -> bool:
  return True


def _stepping(workdir: Path, step: int, since: float) -> bool:
  lines = _lines_since(workdir, since)
  return bool(lines) and lines[-1]["step"] >= step


def _saving(workdir: Path, step: int, since: float) -> bool:
  parts = workdir.glob("checkpoints/*orbax-checkpoint-tmp*")
  return any(
    int(path.name.partition(".")[0]) >= step and _modified(path) > since
    for path in parts
  )


def _evaluating(workdir: Path, step: int, since: float) -> bool:
  lines = _lines_since(workdir, since)
  if not lines or lines[-1]["step"] < step:
    return False
  return lines[-1]["step"] % _EVALUATION == 0 and "train/loss" in lines[-1]


# Phase -> whether a run is in it, after a step and a time (`time.time`).
PHASES: Mapping[str, Callable[[Path, int, float], bool]] = {
  "starting": _starting,
  "stepping": _stepping,
  "saving": _saving,
  "evaluating": _evaluating,
}


def _modified(path: Path) -> float:
  try:
    return path.stat().st_mtime
  except FileNotFoundError:
    return 0.0


def _lines_since(workdir: Path, since: float) -> list[dict[str, Any]]:
  """Returns the lines of metrics.jsonl; none if it is older than `since`."""
  path = workdir / "metrics.jsonl"
  return read_lines(path) if _modified(path) > since else []


def read_lines(path: Path) -> list[dict[str, Any]]:
  """Returns the complete lines of a file of JSON lines."""
  whole, _, _ = path.read_text("utf-8").rpartition("\n")
  return [json.loads(line) for line in whole.splitlines()]


def start(workdir: Path, *, data_dir: Path, steps: int) -> subprocess.Popen:
  """Launches the run with output to WORKDIR.txt."""
  overrides = {
    **_OVERRIDES,
    "data.data_dir": data_dir,
    "train.duration": f"{steps} steps",
  }
  command = [sys.executable, "-m", "jaxvision", "launch", "local"]
  command += ["--processes", str(_PROCESSES), "--devices", "1"]
  command += ["--restarts", "1000000", "--", "train"]
  command += ["--config", str(_RECIPE), "--workdir", str(workdir)]
  command += [f"--config.{key}={value}" for key, value in overrides.items()]
  with workdir.with_suffix(".txt").open("w") as output:
    return subprocess.Popen(
      command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )


def processes(workdir: Path) -> tuple[int, ...]:
  """Returns the ids of the processes of the launcher's last start."""
  with contextlib.suppress(FileNotFoundError):
    # "processes 17 18 on HOST since ..."
    held, _, _ = (workdir / "launch" / "lock").read_text().partition(" on ")
    return tuple(map(int, held.split()[1:]))
  return ()


def wait(condition: Callable[[], bool], launcher: subprocess.Popen) -> None:
  """Waits for an event of the launched run.

  Raises:
    RuntimeError: the run ended before the event, or the wait timed out.
  """
  deadline = time.monotonic() + _TIMEOUT
  while not condition():
    if launcher.poll() is not None:
      raise RuntimeError(
        f"the run ended with {launcher.returncode} before all kills were done; "
        "if the code is 0, pass more --steps"
      )
    if time.monotonic() > deadline:
      raise RuntimeError(f"no event within {_TIMEOUT:g} seconds")
    time.sleep(0.0005)


def strike(
  kill: Kill, workdir: Path, launcher: subprocess.Popen, last: Sequence[int]
) -> tuple[dict[str, Any], tuple[int, ...]]:
  """Sends the signal of a kill to the processes started after `last`.

  Returns:
    The measurements of the kill, and the ids of the processes.
  """
  since, ids = time.time(), ()

  def are_new() -> bool:
    nonlocal ids
    ids = processes(workdir)
    return len(ids) == _PROCESSES and ids != last

  wait(are_new, launcher)
  in_phase = PHASES[kill.phase]
  # A phase counts only if it is later than the lines written before.
  step = max(kill.step, _last_step(workdir) + 1)
  wait(lambda: in_phase(workdir, step, since), launcher)
  time.sleep(kill.delay)
  before = {"at": _last_step(workdir), "starts": len(_starts(workdir))}
  struck = time.monotonic()
  for each in kill.victims:
    with contextlib.suppress(ProcessLookupError):
      os.kill(ids[each], kill.number)
  wait(lambda: not any(map(_alive, ids)), launcher)
  return {**before, "seconds": time.monotonic() - struck}, ids


def _last_step(workdir: Path) -> int:
  lines = _lines_since(workdir, 0)
  return lines[-1]["step"] if lines else 0


def _starts(workdir: Path) -> list[dict[str, Any]]:
  path = workdir / "environment.json"
  return json.loads(path.read_text("utf-8")) if path.exists() else []


def _alive(process: int) -> bool:
  try:
    os.kill(process, 0)
  except ProcessLookupError:
    return False
  return True


@contextlib.contextmanager
def ended(launcher: subprocess.Popen, workdir: Path) -> Iterator[None]:
  """Waits for the end of the run; adds the run's output to an error."""
  try:
    yield
    code = launcher.wait()
    if code:
      raise RuntimeError(f"the run ended with {code}")
  except RuntimeError as error:
    printed = workdir.with_suffix(".txt").read_text("utf-8")
    raise RuntimeError(f"{error}; it printed:\n{printed[-5000:]}") from error
  finally:
    launcher.terminate()
    launcher.wait()


def compare(found: Path, expected: Path, *, steps: int) -> None:
  """Raises RuntimeError unless two runs are equal except for times."""
  ours, theirs = _outcome(found), _outcome(expected)
  different = [key for key in theirs if ours[key] != theirs[key]]
  trained = [line["step"] for line in ours["lines"] if "train/loss" in line]
  if different or trained != [*range(1, steps + 1)]:
    raise RuntimeError(
      f"{found} is not the run that it should be: {', '.join(different)} "
      "differ, or steps are missing or repeated in metrics.jsonl"
    )


def _outcome(workdir: Path) -> dict[str, Any]:
  result = json.loads((workdir / "result.json").read_text("utf-8"))
  kept = ("fingerprint", "final", "best", "status", "step")
  lines = [
    {k: v for k, v in line.items() if k == "step" or k.startswith(_NUMBERS)}
    for line in read_lines(workdir / "metrics.jsonl")
  ]
  return {**{key: result[key] for key in kept}, "lines": lines}


def rows(
  kills: Sequence[Kill], happened: Sequence[Mapping[str, Any]], workdir: Path
) -> Iterator[list[str]]:
  """Returns the cells of the table, with a line for each kill."""
  starts = _starts(workdir)
  for kill, each in zip(kills, happened, strict=True):
    on = starts[each["starts"]]["step"]
    victims = "both" if len(kill.victims) > 1 else f"process {kill.victims[0]}"
    yield [
      kill.phase,
      f"{kill.number.name} to {victims}",
      str(each["at"]),
      f"{each['seconds']:.1f}",
      str(on),
    ]


def summary(
  kills: Sequence[Kill], happened: Sequence[Mapping[str, Any]]
) -> Iterator[list[str]]:
  """Returns number and seconds until all had ended, by signal and victims."""
  groups: dict[tuple[str, int], list[float]] = {}
  for kill, each in zip(kills, happened, strict=True):
    key = (kill.number.name, len(kill.victims))
    groups.setdefault(key, []).append(each["seconds"])
  for (name, count), seconds in sorted(groups.items()):
    middle = f"{statistics.median(seconds):.1f}"
    whom = "one process" if count == 1 else "both"
    yield [
      f"{name} to {whom}",
      str(len(seconds)),
      middle,
      f"{max(seconds):.1f}",
    ]


def _table(titles: Sequence[str], cells: Iterator[list[str]]) -> str:
  lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *cells]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the kills of the command line and prints two Markdown tables."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--kills", type=int, default=24)
  parser.add_argument("--steps", type=int, default=1500)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args(arguments)
  kills = plan(kills=options.kills, steps=options.steps, seed=options.seed)
  with tempfile.TemporaryDirectory() as name:
    folder, happened, ids = Path(name), [], ()
    run = {"data_dir": folder / "data", "steps": options.steps}
    data.prepare("digits", data_dir=run["data_dir"])
    workdir, whole = folder / "killed", folder / "whole"
    with ended(start(whole, **run), whole):
      pass
    launcher = start(workdir, **run)
    with ended(launcher, workdir):
      for kill in kills:
        each, ids = strike(kill, workdir, launcher, ids)
        happened.append(each)
        print(kill, each, file=sys.stderr, flush=True)
    compare(workdir, whole, steps=options.steps)
    titles = ["phase", "signal", "last step", "ended after, s", "resumed from"]
    print(_table(titles, rows(kills, happened, workdir)))
    print()
    titles = ["signal", "times", "ended after, s: median", "longest"]
    print(_table(titles, summary(kills, happened)))


if __name__ == "__main__":
  main()
