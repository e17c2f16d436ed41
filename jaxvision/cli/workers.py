"""Options and processes of workers, which sweeps and searches share."""

import argparse
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jaxvision.cli import parsing
from jaxvision.files import paths

# An environment variable hides the storage's password from process lists.
STORAGE = "JAXVISION_STORAGE"
_AUTO = 64  # maximum number of trials in one program


def add(command: argparse.ArgumentParser, *, what: str) -> None:
  """Declares the options of workers; `what` is "sweep" or "search"."""
  command.add_argument(
    "--workdir", type=paths.expanded, help=f"the folder of the {what}"
  )
  command.add_argument(
    "--storage",
    default=os.environ.get(STORAGE, ""),
    metavar="URL",
    help=f"database for several machines, or ${STORAGE}; by default SQLite in "
    "the folder",
  )
  command.add_argument(
    "--workers",
    type=int,
    default=1,
    metavar="N",
    help="worker processes on this machine (1)",
  )
  command.add_argument(
    "--vectorize",
    default="none",
    metavar="auto|N|none",
    help="train trials that differ in numbers only in one program: auto is up "
    f"to {_AUTO} trials, N is up to N",
  )
  command.add_argument(
    "--grace",
    type=float,
    default=60.0,
    metavar="SECONDS",
    help="seconds without a heartbeat after which a worker is assumed dead "
    "(60)",
  )
  command.add_argument(
    "--dry-run", action="store_true", help="list the runs; start no run"
  )
  parsing.add_trust(command)
  command.add_argument("--work", action="store_true", help=argparse.SUPPRESS)


def at_once(vectorize: str) -> int:
  """Maximum number of trials in one program.

  Raises:
    ValueError: the text is neither auto, none nor a number.
  """
  named = {"none": 1, "auto": _AUTO}
  if vectorize not in named and not vectorize.isdecimal():
    raise ValueError(
      f"--vectorize {vectorize!r}: give auto, none, or a number of trials"
    )
  return named.get(vectorize) or max(1, int(vectorize))


def train(opened: Any, *, most: int) -> None:
  """Trains the trials of a sweep in this process until all have ended.

  Args:
    opened: the `sweeps.Sweep`.
    most: maximum number of trials in one program.
  """
  from jaxvision import sweeps
  from jaxvision.sweeps import vectorized
  from jaxvision.training.loop import train_loop
  from jaxvision.xla import settings

  settings.tune_cpu()
  vectorized.check_objective(opened.experiment)
  vectorized.check_trackers(opened.experiment)
  copies = opened.experiment.copies
  sweeps.work(
    opened,
    functools.partial(vectorized.run, copies=copies),
    interrupted=train_loop.Preempted,
    run_together=functools.partial(vectorized.run_together, copies=copies),
    most=most,
  )


def start(
  options: argparse.Namespace,
  *,
  names: Sequence[str],
  is_over: Callable[[], bool],
) -> None:
  """Runs the workers of this machine until all trials have ended.

  A worker runs the same command with --work. It gets the storage in its
  environment.

  Args:
    options: the options of the command.
    names: options of the command that a worker needs, besides those of `add`.
    is_over: whether no trial is left.

  Raises:
    sweeps.Failed, sweeps.Interrupted: as for `sweeps.run_workers`.
  """
  from jaxvision import sweeps

  given = {
    name: getattr(options, name)
    for name in (*names, "workdir", "grace", "vectorize")
  }
  command = [
    *(sys.executable, "-m", "jaxvision", options.command),
    *([options.experiment] if options.experiment else []),
    *("--work", *["--trust"][: options.trust]),
    *(
      f"--{name.replace('_', '-')}={value}"
      for name, value in given.items()
      if value not in (None, "")
    ),
    *(f"--config.{key}={value}" for key, value in options.overrides.items()),
  ]
  sweeps.run_workers(
    command,
    size=options.workers,
    logs=pathlib.Path(options.workdir) / "workers",
    environment={STORAGE: options.storage},
    is_over=is_over,
  )
