"""Seconds of a look of `jaxvision watch` at many runs.

  python experiments/benchmarks/watching.py --runs 200 --lines 1000

The folders are written as a training writes them. "first" reads all logs.
"unchanged" follows without a new line, "one line each" after a new line of each
run. A look contains the rows of the table, but not the output on the screen.
"""

import argparse
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence

from jaxvision import config as configs
from jaxvision import files
from jaxvision.report import overview
from jaxvision.runs import metrics_log
from jaxvision.runs import workdir as workdirs

_METRICS = ("loss", "top1", "top5", "precision_macro", "f1_macro")


def write_runs(folder: pathlib.Path, *, runs: int, lines: int) -> None:
  """Writes runs with a log of some lines each; every tenth is an evaluation."""
  first = folder / "0000"
  workdirs.claim(
    first, config=configs.complete({}), recipe="r.py", overrides={}
  )
  facts = {"status": "running", "step": 0, "total_steps": 10 * lines}
  workdirs.write_result(first, facts)
  with metrics_log.open_metrics(
    first, first_step=0, tensorboard=False
  ) as write:
    for step in range(1, lines + 1):
      write(step, values(step))
  for number in range(1, runs):
    shutil.copytree(first, folder / f"{number:04d}")


def values(step: int) -> dict[str, float]:
  """The values of a line after a step."""
  if step % 10 == 0:
    return {f"validation/{name}": 1 / step for name in _METRICS}
  times = {"epoch": step / 100, "seconds": step / 3, "images_per_second": 1e3}
  return {"train/loss": 1 / step, "train/top1": 1 / step, **times}


def append(folder: pathlib.Path, step: int) -> None:
  """Appends a line to the log of each run."""
  line = files.to_json({"step": step, **values(step)}) + "\n"
  for path in folder.glob("*/metrics.jsonl"):
    with path.open("a", encoding="utf-8") as file:
      file.write(line)


def look(
  folder: pathlib.Path, before: overview.Found | None
) -> tuple[overview.Found, float]:
  """Looks at the runs; returns the result and the seconds."""
  start = time.perf_counter()
  found = overview.look([folder], before)
  overview.rows(found, now=time.time())
  return found, time.perf_counter() - start


def measure(*, runs: int, lines: int, rounds: int) -> Mapping[str, list[float]]:
  """Returns the seconds of each kind of look, in each round."""
  seconds = {"first": [], "unchanged": [], "one line each": []}
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    write_runs(folder, runs=runs, lines=lines)
    for number in range(1, rounds + 1):
      found, first = look(folder, None)
      found, unchanged = look(folder, found)
      append(folder, lines + number)
      _, appended = look(folder, found)
      for name, value in zip(
        seconds, (first, unchanged, appended), strict=True
      ):
        seconds[name].append(value)
  return seconds


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures and prints a Markdown table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--runs", type=int, default=200)
  parser.add_argument("--lines", type=int, default=1000)
  parser.add_argument("--rounds", type=int, default=5)
  options = parser.parse_args(arguments)
  print(f"| {options.runs} runs of {options.lines} lines | median s | most s |")
  print("|---|---:|---:|")
  for name, values_ in measure(**vars(options)).items():
    print(f"| {name} | {statistics.median(values_):.3f} | {max(values_):.3f} |")


if __name__ == "__main__":
  main()
