"""How long a process continues after another process of its training ends.

  python experiments/benchmarks/abandoned.py --rounds 3

Two processes train a small model, without a launcher. The data are read for
each batch. At step 50 an event ends or stops one of them. Then the other one
must end. The script measures the seconds from the event to this end, and the
exit code, by the event and the number of the affected process.
"""

import argparse
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

from jaxvision.processes import exit_codes

Path = pathlib.Path

_RECIPE = Path(__file__).parents[2] / "configs" / "digits.py:linear"
# Reading fails in a process when the file of this process exists.
_SOURCE = """
import os
import pathlib

import numpy as np

from jaxvision import data


def load(name):
  broken = pathlib.Path(name) / f"broken_{os.environ['JAXVISION_PROCESS_ID']}"

  def read(indices):
    if broken.exists():
      raise RuntimeError("broken")
    return [(np.full((8, 8, 1), i, np.uint8), i % 2) for i in indices]

  return data.Dataset(
    name=name,
    split="train",
    class_names=("even", "odd"),
    num_examples=256,
    ids=lambda indices: [str(i) for i in indices],
    labels=lambda: np.arange(256) % 2,
    read=read,
  )
"""
_STEP, _TIMEOUT = 50, 300.0
Event = Callable[[subprocess.Popen, Path], None]


def _signal(number: signal.Signals) -> Event:
  return lambda process, broken: process.send_signal(number)


EVENTS: Mapping[str, Event] = {
  "killed (SIGKILL)": _signal(signal.SIGKILL),
  "crashed (SIGSEGV)": _signal(signal.SIGSEGV),
  "raised an error": lambda process, broken: broken.touch(),
  "hangs (SIGSTOP)": _signal(signal.SIGSTOP),
}


def start(folder: Path, *, heartbeat: int) -> list[subprocess.Popen]:
  """Starts both processes with output to FOLDER/0.txt and FOLDER/1.txt."""
  (folder / "source.py").write_text(_SOURCE, "utf-8")
  overrides = {
    "data.kind": folder / "source.py:load",
    "data.name": folder,
    "data.validation": "",
    "data.test": "",
    "data.placement": "host",
    "data.device_transforms": (),
    "train.batch_size": 16,
    "train.steps_per_dispatch": 1,
    "train.duration": "1000000 steps",
    "log.every": "10 steps",
    "log.tensorboard": False,
  }
  command = [sys.executable, "-m", "jaxvision", "train"]
  command += ["--config", str(_RECIPE), "--workdir", str(folder / "run")]
  command += [f"--config.{key}={value}" for key, value in overrides.items()]
  with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
  variables = {
    "JAXVISION_COORDINATOR": f"127.0.0.1:{port}",
    "JAXVISION_NUM_PROCESSES": "2",
    "JAXVISION_HEARTBEAT_TIMEOUT": str(heartbeat),
    "JAX_NUM_CPU_DEVICES": "1",
  }
  started = []
  for number in "01":
    with (folder / f"{number}.txt").open("w") as output:
      started.append(
        subprocess.Popen(
          command,
          env={**os.environ, **variables, "JAXVISION_PROCESS_ID": number},
          stdout=output,
          stderr=output,
        )
      )
  return started


def measure(event: Event, loser: int, *, heartbeat: int) -> tuple[float, int]:
  """Returns the seconds until the other process ended, and its exit code."""
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    started = start(folder, heartbeat=heartbeat)
    try:
      _wait_for_steps(folder, started)
      since = time.monotonic()
      event(started[loser], folder / f"broken_{loser}")
      code = exit_codes.code(started[1 - loser].wait(_TIMEOUT))
      return time.monotonic() - since, code
    finally:
      for each in started:
        each.kill()
        each.wait()


def _wait_for_steps(folder: Path, started: Sequence[subprocess.Popen]) -> None:
  deadline, path = time.monotonic() + _TIMEOUT, folder / "run/metrics.jsonl"
  while not path.exists() or len(path.read_bytes().splitlines()) < _STEP // 10:
    if time.monotonic() > deadline or any(each.poll() for each in started):
      printed = [(folder / f"{number}.txt").read_text() for number in "01"]
      raise RuntimeError("the training does not run:\n" + "\n".join(printed))
    time.sleep(0.01)


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the cases of the command line and prints a Markdown table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--heartbeat", type=int, default=10)
  parser.add_argument("--events", nargs="+", default=list(EVENTS))
  options = parser.parse_args(arguments)
  print("| a process | which | the other ended after, s | longest | with |")
  print("|---|---:|---:|---:|---:|")
  for name in options.events:
    for loser in range(2):
      found = [
        measure(EVENTS[name], loser, heartbeat=options.heartbeat)
        for _ in range(options.rounds)
      ]
      seconds, codes = zip(*found, strict=True)
      with_codes = ", ".join(map(str, sorted(set(codes))))
      print(
        f"| {name} | {loser} | {statistics.median(seconds):.1f} | "
        f"{max(seconds):.1f} | {with_codes} |",
        flush=True,
      )


if __name__ == "__main__":
  main()
