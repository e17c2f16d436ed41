"""The command `jaxvision search`."""

import argparse
import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

from jaxvision.cli import parsing, workers
from jaxvision.files import paths
from jaxvision.processes import console

_LISTED = 3  # children of each search in a dry run


def add(commands) -> None:
  """Declares the command."""
  command = parsing.add(
    commands,
    "search",
    _search,
    "search architectures and train the best at full size, or join a search "
    "that runs",
    examples=(
      "search experiments/cells.py --dry-run",
      "search experiments/cells.py --workdir runs/cells --workers 2",
      "search experiments/cells.py --workdir runs/a --searchers random",
    ),
    note="The same command on another machine joins the search, with the "
    "same --workdir and --storage. Any key of the base config can be set for "
    "all trials of both stages: --config.data.threads=2",
  )
  command.set_defaults(config=None)
  command.add_argument("experiment", type=paths.expanded, metavar="FILE.py")
  command.add_argument(
    "--searchers",
    metavar="NAMES",
    help="searchers with commas between them, instead of those of the file, as "
    "in 'random,evolution(population=50)'",
  )
  for flag, text in (
    ("search-seeds", "number of searches of each searcher"),
    ("trials", "number of children of each search"),
    ("final-seeds", "number of seeds of each network of the final stage"),
  ):
    command.add_argument(
      f"--{flag}", type=int, metavar="N", help=f"{text}, instead of the file's"
    )
  workers.add(command, what="search")


def load(options: Mapping[str, Any]) -> Any:
  """Loads the `sweeps.SearchDefinition` that the options name."""
  from jaxvision import sweeps

  names = options["searchers"]
  return sweeps.load_search(
    options["experiment"],
    options["overrides"],
    replaced={
      # Not at the commas of options: evolution(population=50, sample=10).
      "SEARCHERS": names and tuple(re.split(r"\s*,\s*(?![^(]*\))", names)),
      "SEARCH_SEEDS": options["search_seeds"],
      "CHILDREN": options["trials"],
      "FINAL_SEEDS": options["final_seeds"],
    },
  )


def _search(options: argparse.Namespace) -> None:
  from jaxvision import sweeps

  definition = load(vars(options))
  most = workers.at_once(options.vectorize)
  if options.dry_run:
    _list_runs(definition)
    return
  if not options.workdir:
    raise ValueError("give --workdir, the folder of the search")
  workdir = pathlib.Path(options.workdir).absolute()
  definition = sweeps.claim_search(workdir, definition)
  access = {"storage": options.storage, "grace": options.grace}
  if options.work:
    for opened in sweeps.each_sweep(workdir, definition, **access):
      workers.train(opened, most=most)
    return
  try:
    with sweeps.open_search_view(workdir, definition, **access) as look:
      names = ("searchers", "search_seeds", "trials", "final_seeds")
      workers.start(options, names=names, is_over=look)
  except sweeps.Failed:
    _write_reports(workdir, definition)
    raise
  for path in sweeps.write_recipes(workdir, definition):
    console.say(f"recipe: {path}")
  _write_reports(workdir, definition)


def _write_reports(workdir: pathlib.Path, definition: Any) -> None:
  """Writes the report of the search, and those of its sweeps."""
  from jaxvision import report

  folders = [workdir / part.name for part in definition.parts]
  for folder in [*folders, workdir / "final"]:
    if report.is_sweep(folder):
      report.write_sweep(folder)
  console.say(f"report: {report.write_search(workdir)}")


def _list_runs(definition: Any) -> None:
  """Prints the searches, their first children and the final stage."""
  experiment = definition.experiment
  console.say(
    f"{len(definition.parts)} searches of "
    f"{_command(experiment.recipe, experiment.overrides)}"
  )
  for part in definition.parts:
    _list_children(definition, part)
  chosen = "the networks of final()"
  if definition.final is None:
    chosen = "the best child of each searcher"
  console.say(
    f"final stage: {chosen} with {definition.final_seeds} seeds each of "
    f"{_command(experiment.recipe, definition.final_overrides)}"
  )


def _list_children(definition: Any, part: Any) -> None:
  from jaxvision import sweeps

  search_space = definition.experiment.space
  how = {
    "searcher": part.searcher,
    "draws": definition.children,
    "seed": part.seed,
  }
  planned = sweeps.plan(search_space, **how)
  known = sweeps.preview(search_space, planned, **how)
  console.say(
    f"{part.name}: {len(planned)} runs; {len(known)} are known before the "
    "search" + (", the first of them:" if len(known) > _LISTED else "")
  )
  for number, each in enumerate(known[:_LISTED]):
    console.say(f"{number:04d}  {sweeps.text(search_space, each)}")


def _command(recipe: str, overrides: Mapping[str, Any]) -> str:
  flags = [f"--config.{key}={value}" for key, value in overrides.items()]
  return shlex.join([recipe, *flags])
