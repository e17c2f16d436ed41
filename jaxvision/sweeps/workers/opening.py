"""Opening of a sweep: joins the sweep of a folder, or creates it."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxvision import files, user_code
from jaxvision.sweeps.experiment import proposals, searchers, space
from jaxvision.sweeps.experiment.experiment import Experiment
from jaxvision.sweeps.study import study
from jaxvision.sweeps.workers import folder
from jaxvision.sweeps.workers.worker import Sweep

_LOGGER = logging.getLogger(__name__)


def default_searcher(experiment: Experiment) -> str:
  """A grid if nothing is drawn; quasi-random draws otherwise."""
  return "quasi_random" if space.drawn(experiment.space) else "grid"


def draws(experiment: Experiment, searcher: str) -> bool:
  """Whether a searcher draws values, so that the number of draws matters."""
  return searcher != "grid" and bool(space.drawn(experiment.space))


def open_sweep(
  workdir: str | pathlib.Path,
  experiment: Experiment,
  *,
  file: str,
  searcher: str,
  draws: int,
  seed: int,
  storage: str,
  grace: float,
) -> Sweep:
  """Opens the sweep of a folder. The same call on another machine joins it.

  Args:
    workdir: the sweep's folder, shared by all workers.
    experiment: the experiment.
    file: the experiment file.
    searcher, draws, seed: as for `searchers.plan`.
    storage: URL of the storage; "" for an SQLite file in the folder.
    grace: seconds without a heartbeat after which a worker is assumed dead.

  Raises:
    ValueError: the folder belongs to another sweep, or has code that this
      account does not trust, or the storage does not open.
  """
  workdir = pathlib.Path(workdir).absolute()
  plan = searchers.plan(
    experiment.space, searcher=searcher, draws=draws, seed=seed
  )
  with folder.locked(workdir):
    content = folder.claim(
      workdir,
      experiment,
      file=file,
      searcher=searcher,
      draws=draws,
      seed=seed,
      trials=len(plan),
    )
    opened = study.open_study(
      storage or workdir / "sweep.db",
      name=content["study"],
      goal=experiment.objective.goal,
      plan=plan,
      search_space=experiment.space,
      seed=seed,
      grace=grace,
      lock=functools.partial(folder.locked, workdir),
      recall=functools.partial(folder.read_trial, workdir),
      search=proposals.open_search(
        experiment.space, searcher=searcher, seed=seed
      ),
    )
  return Sweep(workdir, use_copies(experiment, workdir, content), opened)


def use_copies(
  experiment: Experiment, workdir: pathlib.Path, content: Mapping[str, Any]
) -> Experiment:
  """Returns the experiment with the copies of code in a folder.

  Args:
    experiment: with the code that was typed; a warning names code that has
      changed since the copies were made.
    workdir: the folder.
    content: its definition; "code" is the record of the copies.

  Raises:
    ValueError: a copy was changed, or this account does not trust it.
  """
  copies = user_code.read_copies(workdir, content.get("code", {}))
  for written, bundle in copies.items():
    given = experiment.copies.get(written)
    if given and given.digest != bundle.digest:
      _LOGGER.warning(
        "%s has changed since the start of the sweep; the sweep uses the copy "
        "in %s; to use the new file, give another --workdir",
        files.printable(written),
        files.printable(bundle.place),
      )
  return dataclasses.replace(experiment, copies=copies)
