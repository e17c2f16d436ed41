"""Seconds until the help, the import and the first step are done.

  python experiments/benchmarks/startup.py --config configs/digits.py:mlp

Every measurement is a new process. "cold" starts with an empty compilation
cache. "cached" starts with the cache of the cold start. Both end when the first
line of metrics.jsonl is on disk. This line has the first step (or the first
call of train.steps_per_dispatch steps).
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

_IMPORT = """
import time, jax
start = time.perf_counter()
import jaxvision
print(time.perf_counter() - start)
"""


def seconds_of(command: Sequence[str]) -> float:
  """Returns the wall time of a Python process with these arguments."""
  start = time.perf_counter()
  subprocess.run([sys.executable, *command], check=True, capture_output=True)
  return time.perf_counter() - start


def seconds_to_import() -> float:
  """Returns the time of `import jaxvision` after the import of jax."""
  done = subprocess.run(
    [sys.executable, "-c", _IMPORT], check=True, capture_output=True
  )
  return float(done.stdout)


def seconds_to_first_step(
  arguments: Sequence[str], folder: pathlib.Path, *, cache: pathlib.Path
) -> float:
  """Returns the time from the command to the first line of metrics.jsonl.

  Args:
    arguments: of `jaxvision train`, without the workdir.
    folder: a new folder for the run. The run is killed after that line.
    cache: the user's cache directory.

  Raises:
    RuntimeError: the run ended before its first step.
  """
  path = folder / "metrics.jsonl"
  command = [sys.executable, "-m", "jaxvision", "train", *arguments]
  command += ["--workdir", str(folder), "--config.log.every=1 steps"]
  start = time.perf_counter()
  with subprocess.Popen(
    command,
    env=_with_cache(os.environ, cache),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
  ) as process:
    while not (path.exists() and path.stat().st_size):
      if process.poll() is not None:
        message = process.stderr.read().decode()
        raise RuntimeError(f"no first step of {command}: {message}")
      time.sleep(0.005)
    seconds = time.perf_counter() - start
    process.kill()
  return seconds


def _with_cache(
  environment: Mapping[str, str], cache: pathlib.Path
) -> dict[str, str]:
  """Returns the environment with the compilation cache below `cache`."""
  kept = {
    name: value
    for name, value in environment.items()
    if name != "JAX_COMPILATION_CACHE_DIR"
  }
  return {**kept, "XDG_CACHE_HOME": str(cache)}


def measure(arguments: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
  """Returns seconds by measurement; all measurements run in each round.

  Args:
    arguments: of `jaxvision train`, without the workdir.
    rounds: number of rounds.
  """
  seconds = {
    "jaxvision --help": [],
    "import jaxvision, after jax": [],
    "first step, cold": [],
    "first step, cached": [],
  }
  for _ in range(rounds):
    with tempfile.TemporaryDirectory() as temporary:
      folder = pathlib.Path(temporary)
      found = (
        seconds_of(["-m", "jaxvision", "--help"]),
        seconds_to_import(),
        seconds_to_first_step(arguments, folder / "cold", cache=folder),
        seconds_to_first_step(arguments, folder / "cached", cache=folder),
      )
    for name, value in zip(seconds, found, strict=True):
      seconds[name].append(value)
  return seconds


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures and prints a Markdown table."""
  parser = argparse.ArgumentParser(
    description=__doc__.splitlines()[0],
    epilog="--config.KEY=VALUE is passed on to jaxvision train",
  )
  parser.add_argument("--config", default="configs/digits.py")
  parser.add_argument("--rounds", type=int, default=5)
  options, overrides = parser.parse_known_args(arguments)
  seconds = measure(
    ["--config", options.config, *overrides], rounds=options.rounds
  )
  print(f"| {options.config} | median s | lowest | highest |")
  print("|---|---:|---:|---:|")
  for name, values in seconds.items():
    middle = statistics.median(values)
    print(f"| {name} | {middle:.2f} | {min(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
  main()
