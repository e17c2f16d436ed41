"""`jaxvision sweep`."""

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from jaxvision.cli import parsing
from jaxvision.files import paths
from jaxvision.processes import console

# Keeps the password of a storage out of the list of processes.
STORAGE = "JAXVISION_STORAGE"
_AUTO = 64  # trials in a program
_DRAWS, _TOP, _SEEDS = 20, 3, 10


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "sweep",
    _sweep,
    "run all trials of an experiment, or join those who do",
    epilog="The same command on another machine joins, given the same "
    "--workdir and --storage. Any key of the base config can be set, for all "
    "trials: --config.train.duration='5 epochs'",
  )
  command.set_defaults(config=None)
  command.add_argument(
    "experiment", type=paths.expanded, metavar="FILE.py", nargs="?"
  )
  command.add_argument(
    "--workdir", type=paths.expanded, help="the folder of the sweep"
  )
  command.add_argument(
    "--searcher",
    help="grid, random, tpe or quasi_random; by default grid where all is "
    "listed, else quasi_random",
  )
  command.add_argument(
    "--trials",
    type=int,
    metavar="N",
    help=f"how often to draw what is drawn ({_DRAWS}); each meets all that is "
    "listed",
  )
  command.add_argument("--seed", type=int, help="of what is drawn (0)")
  command.add_argument(
    "--storage",
    default=os.environ.get(STORAGE, ""),
    metavar="URL",
    help=f"a database for many machines, or ${STORAGE}; by default SQLite in "
    "the folder",
  )
  command.add_argument(
    "--workers", type=int, default=1, metavar="N", help="processes here (1)"
  )
  command.add_argument(
    "--vectorize",
    default="none",
    metavar="auto|N|none",
    help="trials that differ in nothing but numbers train in one program: auto "
    f"is up to {_AUTO} of them at a time",
  )
  command.add_argument(
    "--grace",
    type=float,
    default=60.0,
    metavar="SECONDS",
    help="without a sign of life, after which a worker counts as dead (60)",
  )
  command.add_argument(
    "--dry-run", action="store_true", help="list the runs, start none"
  )
  command.add_argument(
    "--rerun",
    type=paths.expanded,
    metavar="SWEEP",
    help="in place of FILE.py: the best settings of that sweep, with --seeds",
  )
  command.add_argument(
    "--top", type=int, metavar="N", help="of --rerun: how many settings (3)"
  )
  command.add_argument(
    "--seeds", type=int, metavar="N", help="of --rerun: for each setting (10)"
  )
  parsing.add_trust(command)
  command.add_argument("--work", action="store_true", help=argparse.SUPPRESS)


def _sweep(options: argparse.Namespace) -> None:
  from jaxvision import sweeps

  if bool(options.experiment) == bool(options.rerun):
    raise ValueError("say either FILE.py, an experiment, or --rerun SWEEP")
  if options.rerun:
    experiment = sweeps.best_again(
      options.rerun,
      top=_TOP if options.top is None else options.top,
      seeds=_SEEDS if options.seeds is None else options.seeds,
    )
    experiment = sweeps.check(experiment, owner=options.rerun)
  else:
    _refuse(options, ("top", "seeds"), "belongs to --rerun SWEEP")
    experiment = sweeps.load(options.experiment, options.overrides)
  _at_once(options.vectorize)
  options.searcher = options.searcher or sweeps.default_searcher(experiment)
  if not sweeps.draws(experiment, options.searcher):
    _refuse(
      options,
      ("trials", "seed"),
      "is of what is drawn, and this grid has its own points only",
    )
  if options.dry_run:
    _list_runs(options, experiment)
    return
  if not options.workdir:
    raise ValueError("give --workdir, the folder of the sweep")
  opened = sweeps.open_sweep(
    options.workdir,
    experiment,
    file=options.experiment or options.rerun,
    searcher=options.searcher,
    **_draws(options),
    storage=options.storage,
    grace=options.grace,
  )
  if options.work:
    _work(opened, _at_once(options.vectorize))
  else:
    _lead(options, opened)


def _refuse(
  options: argparse.Namespace, names: Sequence[str], why: str
) -> None:
  """Raises ValueError for an option that would be ignored."""
  for name in names:
    given = getattr(options, name)
    if given is not None:
      raise ValueError(f"--{name} {given} {why}; leave it out")


def _draws(options: argparse.Namespace) -> dict[str, int]:
  return {
    "draws": _DRAWS if options.trials is None else options.trials,
    "seed": options.seed or 0,
  }


def _list_runs(options: argparse.Namespace, experiment: Any) -> None:
  from jaxvision import sweeps

  planned = sweeps.plan(
    experiment.space,
    searcher=options.searcher,
    **_draws(options),
  )
  base = [f"--config.{k}={v}" for k, v in experiment.overrides.items()]
  console.say(
    f"{len(planned)} runs of {shlex.join([experiment.recipe, *base])}"
  )
  for number, each in enumerate(planned):
    console.say(f"{number:04d}  {sweeps.text(experiment.space, each)}")


def _work(opened: Any, at_once: int) -> None:
  """As a worker: one process, which trains."""
  from jaxvision import sweeps
  from jaxvision.sweeps import vectorized
  from jaxvision.training.loop import train_loop
  from jaxvision.xla import settings

  settings.tune_cpu()
  vectorized.check_objective(opened.experiment)
  copies = opened.experiment.copies
  sweeps.work(
    opened,
    functools.partial(vectorized.run, copies=copies),
    interrupted=train_loop.Preempted,
    run_together=functools.partial(vectorized.run_together, copies=copies),
    most=at_once,
  )


def _at_once(vectorize: str) -> int:
  named = {"none": 1, "auto": _AUTO}
  if vectorize not in named and not vectorize.isdecimal():
    raise ValueError(
      f"--vectorize {vectorize!r}: give auto, none, or how many trials at most"
    )
  return named.get(vectorize) or max(1, int(vectorize))


def _worker_arguments(options: argparse.Namespace) -> list[str]:
  """The same sweep, for a worker; the storage comes by the environment."""
  asked = [options.experiment] if options.experiment else []
  names = ("rerun", "top", "seeds", "workdir", "searcher", "trials", "seed")
  given = {
    name: getattr(options, name) for name in (*names, "grace", "vectorize")
  }
  return [
    *("sweep", *asked, "--work", *["--trust"][: options.trust]),
    *(f"--{k}={v}" for k, v in given.items() if v not in (None, "")),
    *(f"--config.{key}={value}" for key, value in options.overrides.items()),
  ]


def _lead(options: argparse.Namespace, opened: Any) -> None:
  """As the one who starts workers here, and shows how it goes."""
  from jaxvision import report, sweeps

  with sweeps.open_view(opened) as look:
    sweeps.run_crew(
      [sys.executable, "-m", "jaxvision", *_worker_arguments(options)],
      size=options.workers,
      logs=opened.workdir / "workers",
      environment={STORAGE: options.storage},
      is_over=look,
    )
  page = report.write_sweep(options.workdir)
  console.say(f"report: {page.absolute()}")
  sweeps.check_complete(opened)
