"""Trials of a sweep: one after another, in one program, by several workers.

  python experiments/benchmarks/sweep.py                        # mlp, resnet
  python experiments/benchmarks/sweep.py --models mlp --trials 32
  python experiments/benchmarks/sweep.py --storage postgresql+psycopg2://...

Needs the digits: `jaxvision data prepare digits`. Trials differ in learning
rate, weight decay, label smoothing and seed.

  alone     each trial is a separate run with report and checkpoints, as without
            --vectorize. --alone trials run in one process.
  together  all trials in one program (--vectorize), compilation included.
  engine    the cost of a trial without training: claiming it, two values of its
            curve, its end and its file.
  workers   trials that only wait half a second, by one and by four workers on
            --storage, each a process: the cost of sharing.

The script prints seconds of wall time per trial. For training it also prints
the processor time of all threads. Other load affects it less than the wall
time.
"""

import argparse
import functools
import multiprocessing
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxvision import sweeps
from jaxvision.runs import sweep_folder
from jaxvision.xla import settings

_BASE = str(pathlib.Path(__file__).parents[2] / "configs" / "digits.py")
_SPACE = {
  "optimizer.learning_rate": sweeps.log_uniform(1e-4, 1e-2),
  "optimizer.weight_decay": sweeps.log_uniform(1e-3, 1e-1),
  "loss.options.label_smoothing": sweeps.uniform(0.05, 0.2),
  "seed": sweeps.seeds(2),
}
_WAIT = 0.5  # seconds of a waiting trial
_WAITING = 24  # number of waiting trials


def experiment(recipe: str, overrides: dict[str, Any]) -> sweeps.Experiment:
  """Returns the experiment of the sweep."""
  return sweeps.Experiment(
    question="How long do trials take?",
    recipe=recipe,
    overrides=overrides,
    space=_SPACE,
    objective=sweeps.maximize("validation_ema/top1"),
    read="Less is better.",
  )


def open_sweep(
  workdir: pathlib.Path,
  asked: sweeps.Experiment,
  *,
  trials: int,
  storage: str = "",
) -> sweeps.Sweep:
  """Returns a new sweep with this even number of trials."""
  return sweeps.open_sweep(
    workdir,
    asked,
    file=__file__,
    searcher="random",
    draws=trials // 2,
    seed=0,
    storage=storage,
    grace=60,
  )


def seconds_of(action: Callable[[], Any]) -> np.ndarray:
  """Returns wall time and processor time of a call."""
  clocks = time.monotonic, time.process_time
  start = [clock() for clock in clocks]
  action()
  return np.array([clock() for clock in clocks]) - start


def measure_training(
  recipe: str, overrides: dict[str, Any], *, trials: int, alone: int
) -> dict[str, np.ndarray]:
  """Returns `seconds_of` each trial, alone and together with all others."""
  from jaxvision.sweeps import vectorized as runs
  from jaxvision.training.loop import train_loop

  asked = experiment(recipe, overrides)
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    for name, count, at_once in (
      ("alone", alone, 1),
      ("together", trials, trials),
    ):
      opened = open_sweep(pathlib.Path(folder, name), asked, trials=count)
      work = functools.partial(
        sweeps.work,
        opened,
        runs.run,
        interrupted=train_loop.Preempted,
        run_together=runs.run_together,
        most=at_once,
      )
      found[name] = seconds_of(work) / count
      _require_complete(opened.workdir, count)
  return found


def _require_complete(workdir: pathlib.Path, count: int) -> None:
  """Raises RuntimeError unless all trials are complete."""
  states = [trial.state for trial in sweep_folder.read_sweep(workdir).trials]
  if states != ["complete"] * count:
    raise RuntimeError(f"{count} trials should be complete, but are {states}")


def do_nothing(
  recipe: str, *, workdir: pathlib.Path, overrides: Any, watch: Any
) -> sweeps.Outcome:
  """Runs a trial without training: only the work of the engine."""
  del recipe, overrides
  for step in (1, 2):
    watch(step, 2, {"validation_ema/top1": 0.5})
  line = '{"step": 2, "validation_ema/top1": 0.5}'
  (workdir / "metrics.jsonl").write_text(line, "utf-8")
  return sweeps.Outcome("complete")


def wait(recipe: str, **arguments: Any) -> sweeps.Outcome:
  """Runs a trial that waits: its worker is busy, the machine is not."""
  time.sleep(_WAIT)
  return do_nothing(recipe, **arguments)


def measure_engine(storage: str, *, trials: int) -> float:
  """Returns seconds per trial without training."""
  with tempfile.TemporaryDirectory() as folder:
    asked = experiment(_BASE, {})
    opened = open_sweep(
      pathlib.Path(folder), asked, trials=trials, storage=storage
    )
    work = functools.partial(
      sweeps.work, opened, do_nothing, interrupted=KeyboardInterrupt
    )
    return seconds_of(work)[0] / trials


def join(workdir: pathlib.Path, storage: str, barrier: Any) -> None:
  """Opens the sweep as one of several workers, waits for all, works."""
  asked = experiment(_BASE, {})
  opened = open_sweep(workdir, asked, trials=_WAITING, storage=storage)
  barrier.wait()
  sweeps.work(opened, wait, interrupted=KeyboardInterrupt)


def measure_workers(storage: str, *, count: int) -> float:
  """Returns the seconds in which `count` workers finish waiting trials."""
  context = multiprocessing.get_context("spawn")
  barrier = context.Barrier(count + 1)
  with tempfile.TemporaryDirectory() as folder:
    crew = [
      context.Process(
        target=join, args=(pathlib.Path(folder), storage, barrier)
      )
      for _ in range(count)
    ]
    for worker in crew:
      worker.start()
    barrier.wait()
    return seconds_of(lambda: [worker.join() for worker in crew])[0]


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures the cases of the command line."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--models", nargs="*", default=["mlp", "resnet"])
  parser.add_argument("--trials", type=int, default=32)
  parser.add_argument("--alone", type=int, default=8)
  parser.add_argument("--duration", help="duration of a trial: '20 epochs'")
  parser.add_argument("--data_dir", help="folder of the digits")
  parser.add_argument("--storage", default="", help="URL of a database")
  options = parser.parse_args(arguments)
  settings.tune_cpu()
  overrides = {"log.tensorboard": False}
  if options.data_dir:
    overrides["data.data_dir"] = options.data_dir
  if options.duration:
    overrides["train.duration"] = options.duration
  for model in options.models:
    found = measure_training(
      f"{_BASE}:{model}",
      overrides,
      trials=options.trials,
      alone=options.alone,
    )
    for name, (wall, processor) in found.items():
      print(f"{model} {name}: {wall:.2f} s a trial, {processor:.2f} s of CPU")
    wall, processor = found["alone"] / found["together"]
    print(
      f"{model}: {wall:.1f} times as fast, with 1 / {processor:.1f} of the CPU",
      flush=True,
    )
  each = measure_engine(options.storage, trials=options.trials)
  print(f"engine: {1000 * each:.0f} ms a trial", flush=True)
  for count in (1, 4):
    seconds = measure_workers(options.storage, count=count)
    ideal = _WAITING * _WAIT / count
    print(
      f"{count} workers: {seconds:.1f} s for {_WAITING} trials of {_WAIT} s "
      f"({ideal:.1f} s without any engine)",
      flush=True,
    )


if __name__ == "__main__":
  main()
