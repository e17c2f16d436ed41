"""The command `jaxvision sweep`."""

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

from jaxvision.cli import parsing, workers
from jaxvision.files import paths
from jaxvision.processes import console

_DRAWS, _TOP, _SEEDS = 20, 3, 10


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "sweep",
    _sweep,
    "run all trials of an experiment, or join a sweep that runs",
    examples=(
      "sweep experiments/optimizers.py --dry-run",
      "sweep experiments/optimizers.py --workdir runs/optimizers --workers 2",
      "sweep --rerun runs/optimizers --top 2 --seeds 5 --workdir runs/best",
    ),
    note="The same command on another machine joins the sweep, with the same "
    "--workdir and --storage. Any key of the base config can be set for all "
    "trials: --config.train.duration='5 epochs'",
  )
  command.set_defaults(config=None)
  command.add_argument(
    "experiment", type=paths.expanded, metavar="FILE.py", nargs="?"
  )
  command.add_argument(
    "--searcher",
    help="grid, random, quasi_random, tpe, evolution, local_search, controller "
    "or reinforce, with options as in 'evolution(population=50)'; by default "
    "quasi_random, or grid if the space has only lists",
  )
  command.add_argument(
    "--trials",
    type=int,
    metavar="N",
    help=f"number of draws ({_DRAWS}); each draw is combined with all listed "
    "values",
  )
  command.add_argument("--seed", type=int, help="seed of the draws (0)")
  command.add_argument(
    "--rerun",
    type=paths.expanded,
    metavar="SWEEP",
    help="instead of FILE.py: run the best settings of a sweep with --seeds",
  )
  command.add_argument(
    "--top", type=int, metavar="N", help="with --rerun: number of settings (3)"
  )
  command.add_argument(
    "--seeds",
    type=int,
    metavar="N",
    help="number of seeds of each setting, instead of the file's; with --rerun "
    f"{_SEEDS}",
  )
  command.add_argument(
    "--folds",
    type=int,
    metavar="N",
    help="cross-validation: number of folds of each setting, instead of the "
    "file's; with --rerun those of the sweep",
  )
  workers.add(command, what="sweep")


def _sweep(options: argparse.Namespace) -> None:
  from jaxvision import sweeps

  if bool(options.experiment) == bool(options.rerun):
    raise ValueError("give either FILE.py, an experiment, or --rerun SWEEP")
  if options.rerun:
    experiment = sweeps.rerun_best(
      options.rerun,
      top=_TOP if options.top is None else options.top,
      seeds=_SEEDS if options.seeds is None else options.seeds,
      folds=options.folds,
    )
    experiment = sweeps.check(experiment, owner=options.rerun)
  else:
    _refuse(options, ("top",), "needs --rerun SWEEP")
    experiment = sweeps.load(
      options.experiment,
      options.overrides,
      seeds=options.seeds,
      folds=options.folds,
    )
  most = workers.at_once(options.vectorize)
  options.searcher = options.searcher or sweeps.default_searcher(experiment)
  if not sweeps.draws(experiment, options.searcher):
    _refuse(
      options,
      ("trials", "seed"),
      "has no effect on a grid, which draws nothing",
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
    workers.train(opened, most=most)
  else:
    _run_workers(options, opened)


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

  how = {"searcher": options.searcher, **_draws(options)}
  planned = sweeps.plan(experiment.space, **how)
  base = [f"--config.{k}={v}" for k, v in experiment.overrides.items()]
  console.say(
    f"{len(planned)} runs of {shlex.join([experiment.recipe, *base])}"
  )
  known = sweeps.preview(experiment.space, planned, **how)
  for number, each in enumerate(known):
    console.say(f"{number:04d}  {sweeps.text(experiment.space, each)}")
  if len(known) < len(planned):
    repeated = sweeps.repetitions(experiment.space)
    points = sweeps.size(
      {k: v for k, v in experiment.space.items() if k not in repeated}
    )
    size = f"{points:,}" if points < 1e9 else f"{points:.3g}"
    console.say(
      f"{len(planned) - len(known)} more runs in a space of {size} settings: "
      f"{options.searcher} proposes them from the results of earlier runs"
    )


def _run_workers(options: argparse.Namespace, opened: Any) -> None:
  """Starts the workers of this machine and shows the progress."""
  from jaxvision import report, sweeps

  with sweeps.open_view(opened) as look:
    names = ("rerun", "top", "seeds", "folds", "searcher", "trials", "seed")
    workers.start(options, names=names, is_over=look)
  page = report.write_sweep(options.workdir)
  if best := report.best_setting(options.workdir):
    console.say(f"best setting: {best}")
  console.say(f"report: {page.absolute()}")
  sweeps.check_complete(opened)
