"""The sweeps of a search, one after the other: for workers and for a viewer.

A search is over when all its children have ended. The final stage begins when
all searches are over.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

from jaxvision.processes import console
from jaxvision.runs import search_folder
from jaxvision.sweeps.stages import definition, final
from jaxvision.sweeps.stages.definition import Definition, Part
from jaxvision.sweeps.workers import opening, progress
from jaxvision.sweeps.workers.worker import Sweep


def open_part(
  workdir: pathlib.Path,
  asked: Definition,
  part: Part,
  *,
  storage: str,
  grace: float,
) -> Sweep:
  """Opens the sweep of a searcher and a seed, or joins it.

  Args:
    workdir: the folder of the search.
    asked: the definition, with the copies of code of the folder.
    part: the searcher and the seed.
    storage, grace: as for `opening.open_sweep`, which raises the same errors.
  """
  return opening.open_sweep(
    workdir / part.name,
    definition.experiment_of(asked, part),
    file=asked.file,
    searcher=part.searcher,
    draws=asked.children,
    seed=part.seed,
    storage=storage,
    grace=grace,
  )


def open_final(
  workdir: pathlib.Path, asked: Definition, *, storage: str, grace: float
) -> Sweep | None:
  """Opens the sweep of the final stage; None before its networks are chosen."""
  experiment = final.load(workdir, asked)
  if experiment is None:
    return None
  return opening.open_sweep(
    workdir / search_folder.FINAL,
    experiment,
    file=asked.file,
    searcher="grid",
    draws=1,
    seed=0,
    storage=storage,
    grace=grace,
  )


def each_sweep(
  workdir: pathlib.Path, asked: Definition, *, storage: str, grace: float
) -> Iterator[Sweep]:
  """Yields the sweeps of both stages to a worker, which completes each one.

  Raises:
    Failed: no trial of a sweep is complete.
    ValueError: as for `opening.open_sweep` and `final.choose`.
  """
  for part in asked.parts:
    sweep = open_part(workdir, asked, part, storage=storage, grace=grace)
    yield sweep
    progress.check_complete(sweep)
  final.choose(workdir, asked)
  sweep = open_final(workdir, asked, storage=storage, grace=grace)
  yield sweep
  progress.check_complete(sweep)


@contextlib.contextmanager
def open_view(
  workdir: pathlib.Path, asked: Definition, *, storage: str, grace: float
) -> Iterator[Callable[[], bool]]:
  """Yields look(), which shows the progress and returns whether all ended.

  The viewer chooses no network: the workers do it. So it needs no JAX.
  """
  steps = _look(workdir, asked, storage=storage, grace=grace)
  with contextlib.closing(steps):
    yield lambda: next(steps)


def _look(
  workdir: pathlib.Path, asked: Definition, *, storage: str, grace: float
) -> Iterator[bool]:
  """Yields False until both stages are over, then True."""
  for place, part in enumerate(asked.parts, 1):
    console.say(f"search {place} of {len(asked.parts)}: {part.name}")
    sweep = open_part(workdir, asked, part, storage=storage, grace=grace)
    yield from _show(sweep)
  while not (sweep := open_final(workdir, asked, storage=storage, grace=grace)):
    yield False
  networks = search_folder.read_networks(workdir)
  console.say(f"final stage: {', '.join(networks)}")
  yield from _show(sweep)
  while True:
    yield True


def _show(sweep: Sweep) -> Iterator[bool]:
  """Shows a sweep, and yields False until it is over."""
  with progress.open_view(sweep) as look:
    while not look():
      yield False
