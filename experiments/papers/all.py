"""Measures all claims again and writes the gallery.

  python experiments/papers/all.py runs/claims            # or: make claims
  python experiments/papers/all.py runs/claims --quick    # make claims QUICK=1

A script that has a SPACE is a sweep, and one that has BEFORE judges the runs of
other commands; the others measure by themselves. Records and pictures are
written to FOLDER/results, and the page to FOLDER/gallery.html.
A claim that has a record there is not measured again, and runs that were
stopped go on, so the same command resumes.

Each core measures one claim at a time. The claim that took the most time for
the records in experiments/papers/results starts first. Claims about times are
measured at the end, one after the other, on all cores.

The data are fetched and prepared first, see inputs.py.

With --quick, sweeps take two steps from new parameters with two seeds and have
no test split, programs are compiled without optimisation, the runs of other
commands are left out, and the rest repeats less: this shows that the scripts
work, and the verdicts mean nothing.
"""

import argparse
import ast
import concurrent.futures
import json
import os
import pathlib
import queue
import shlex
import subprocess
import sys
from collections.abc import Sequence

import claims

_OF_TIMES = ("guidelines",)
_QUICK = (
  "train.duration=2 steps",
  "schedule.warmup=0 steps",
  "model.weights=",
  "data.test=",
)
# With few steps, most of the time is compilation: without optimisation it takes
# a third. The user's own XLA_FLAGS are kept.
_QUICK_FLAGS = (
  "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 "
  "--xla_disable_hlo_passes=cse_barrier_expander"
)
_ROOT = claims.FOLDER.parents[1]


def scripts() -> list[pathlib.Path]:
  """The scripts of all claims, sorted."""
  found = sorted(claims.FOLDER.glob("*.py"))
  return [path for path in found if "CLAIM" in constants(path)]


def constants(script: pathlib.Path) -> dict[str, ast.expr]:
  """The values that a script gives to names, not evaluated."""
  return {
    target.id: node.value
    for node in ast.parse(script.read_text("utf-8")).body
    if isinstance(node, ast.Assign)
    for target in node.targets
    if isinstance(target, ast.Name)
  }


def commands(
  script: pathlib.Path, folder: pathlib.Path, *, quick: bool
) -> list[list[str]]:
  """The commands that measure a claim and write its record to `folder`."""
  known = constants(script)
  if quick and "BEFORE" in known:
    return []
  before = ast.literal_eval(known["BEFORE"]) if "BEFORE" in known else ()
  of_sweep = "SPACE" in known
  lines = claims.commands(
    script.stem, of_sweep=of_sweep, before=before, runs=folder / script.stem
  )
  *makes, last = (_executable(shlex.split(line)) for line in lines)
  last.append(f"--output={folder / 'results'}")
  if quick and of_sweep:
    makes[0] += [f"--config.{each}" for each in _QUICK]
    axes = [ast.literal_eval(k) for k in known["SPACE"].keys if _is_text(k)]
    makes[0] += ["--seeds=2"] * ("seed" in axes)
  elif quick:
    last.append("--quick")
  return [*makes, last]


def _is_text(node: ast.expr) -> bool:
  return isinstance(node, ast.Constant)


def _executable(words: list[str]) -> list[str]:
  """A command of a record, run by this Python."""
  program, *rest = words
  module = [] if program == "python" else ["-m", program]
  return [sys.executable, *module, *rest]


def _seconds(script: pathlib.Path) -> float:
  """The time for the committed record; infinity without a record."""
  path = claims.RESULTS / f"{script.stem}.json"
  if not path.exists():
    return float("inf")
  return json.loads(path.read_text("utf-8"))["seconds"]


def _measure(
  script: pathlib.Path,
  folder: pathlib.Path,
  cores: queue.SimpleQueue[set[int]],
  *,
  quick: bool,
) -> bool:
  """Measures a claim on a set of cores; returns whether this succeeded."""
  record = folder / "results" / f"{script.stem}.json"
  if record.exists():
    print(f"{script.stem}: has a record", flush=True)
    return True
  own = cores.get()
  try:
    for command in commands(script, folder, quick=quick):
      with open(folder / f"{script.stem}.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen(
          command,
          cwd=_ROOT,
          stdout=log,
          stderr=subprocess.STDOUT,
          env={"XLA_FLAGS": _QUICK_FLAGS, **os.environ} if quick else None,
        )
      if own and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, own)
      if process.wait():
        print(f"{script.stem}: failed, see {log.name}", flush=True)
        return False
  finally:
    cores.put(own)
  print(f"{script.stem}: {_verdict(record)}", flush=True)
  return True


def _verdict(record: pathlib.Path) -> str:
  if not record.exists():
    return "left out"
  return json.loads(record.read_text("utf-8"))["verdict"]


def _measure_all(
  of: Sequence[pathlib.Path],
  folder: pathlib.Path,
  cores: Sequence[set[int]],
  *,
  quick: bool,
) -> list[str]:
  """Measures claims, one on each set of cores; returns those that failed."""
  free: queue.SimpleQueue[set[int]] = queue.SimpleQueue()
  for each in cores:
    free.put(each)
  with concurrent.futures.ThreadPoolExecutor(len(cores)) as pool:
    done = list(pool.map(lambda s: _measure(s, folder, free, quick=quick), of))
  return [s.stem for s, good in zip(of, done, strict=True) if not good]


def write_inputs(*, quick: bool) -> None:
  """Fetches and prepares the data."""
  command = [sys.executable, str(claims.FOLDER / "inputs.py")]
  subprocess.run([*command, *["--quick"] * quick], cwd=_ROOT, check=True)


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs all commands; returns 1 if one of them failed."""
  parser = argparse.ArgumentParser(description="measures all claims")
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("--quick", action="store_true")
  options = parser.parse_args(arguments)
  folder = options.folder.absolute()
  (folder / "results").mkdir(parents=True, exist_ok=True)
  write_inputs(quick=options.quick)
  found = sorted(scripts(), key=_seconds, reverse=True)
  of_times = [script for script in found if script.stem in _OF_TIMES]
  others = [script for script in found if script.stem not in _OF_TIMES]
  each_core = [{core} for core in _cores()]
  failed = [
    *_measure_all(others, folder, each_core, quick=options.quick),
    *_measure_all(of_times, folder, [set(_cores())], quick=options.quick),
  ]
  gallery = [sys.executable, str(claims.FOLDER / "gallery.py")]
  gallery += [str(folder / "gallery.html")]
  gallery += [f"--results={folder / 'results'}"]
  subprocess.run(gallery, check=True)
  print(f"page: {folder / 'gallery.html'}")
  if failed:
    print(f"failed: {', '.join(failed)}; the same command tries them again")
  return 1 if failed else 0


def _cores() -> list[int]:
  if hasattr(os, "sched_getaffinity"):
    return sorted(os.sched_getaffinity(0))
  return [0]  # affinity is not to be had: one claim at a time


if __name__ == "__main__":
  sys.exit(main())
