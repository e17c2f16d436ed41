"""A complete run: from a config to a folder with a report."""

import contextlib
import functools
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from jaxvision import user_code
from jaxvision.config import ConfigDict
from jaxvision.files import paths
from jaxvision.processes import agreement, cluster, notebook, preemption
from jaxvision.runs import trackers as tracking
from jaxvision.runs import workdir as workdirs
from jaxvision.training import setup
from jaxvision.training.fit import Run, fit, without_state
from jaxvision.training.loop import evaluators, results
from jaxvision.training.setup import (
  claim,
  data_record,
  extension,
  sanity,
  teachers_record,
  trackers,
)
from jaxvision.xla import cache


def train(
  recipe: str | None = None,
  *,
  workdir: str | pathlib.Path,
  overrides: Mapping[str, Any] | None = None,
  overfit: int = 0,
  data_changed: str = "refuse",
  profile: range = range(0),
  watch: Callable[..., str] = lambda *_: "",
  claimed: bool = False,
  extend: str = "",
  extend_schedule: str = "",
  copies: Mapping[str, user_code.Bundle] | None = None,
  trust: bool = False,
) -> dict[str, Any]:
  """Trains the run of a recipe, or resumes it.

  A notebook shows a line that is renewed, and the report of the finished run.
  To interrupt the cell stops the run as SIGINT does: its state is saved.

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp". None resumes the
      run in the folder with the config of the folder.
    workdir: the run's folder. The same call resumes the run. All processes of
      a run share the folder.
    overrides: by dotted key, as {"optimizer.learning_rate": 0.1}.
    overfit: number of examples of an overfitting check; 0 disables it. The run
      trains only on these examples, without augmentation and regularisation,
      to check that the model can memorise them.
    data_changed: "accept" resumes with data that differ from the first start.
    profile: the steps to trace, into WORKDIR/profile.
    watch: (step, total steps, values of an evaluation) -> the reason to stop
      the run early; "" continues it.
    claimed: True if the folder is already reserved for this process, such as
      by the storage of a sweep: see `workdir.held`.
    extend: the new total duration of the run in the folder, such as "40
      epochs". It is longer than before. It requires that recipe is None.
    extend_schedule: the schedule of an extended run: "stretch" or "constant",
      see `jaxvision.training.setup.extension`. "" means "stretch".
    copies: of the user's code, used instead of the files that a recipe names.
      Copies in the folder take precedence.
    trust: allow code in the folder that this account has not trusted before.

  Returns:
    The content of WORKDIR/result.json. A finished run is not changed.

  Raises:
    ValueError, FileNotFoundError, OSError: the config, the data or the workdir
      is invalid, or another process trains in the workdir. Nothing was trained.
    rendezvous.Missing: some processes of the run did not connect.
    train_loop.Preempted: the process received SIGTERM, or SIGINT during the
      training. The state is saved.
    train_loop.Diverged: a loss or a state is not finite. The message names the
      last good checkpoint.
    train_loop.Ended: `watch` stopped the run early.
    checkpoint.CheckpointError: a checkpoint could not be written or read.
  """
  started = time.monotonic()
  cluster.start()
  cache.cache_compilations()
  folder = pathlib.Path(workdir).expanduser()
  paths.check_plain(folder, alone=jax.process_count() == 1)
  with _process(trust) as (terminated, held):
    config = claim.load_config(recipe, folder, overrides, copies, extend)
    origin = {"recipe": recipe or "", "overrides": dict(overrides or {})}
    origin["overfit"] = overfit or claim.overfit(recipe, folder)
    tracked_by = _make_trackers(config)
    run = _prepare(
      config, folder, origin, (extend, extend_schedule), terminated, started
    )
    lock = functools.partial(workdirs.held, folder, claimed=claimed)
    agreement.first(lambda: held.enter_context(lock()))
    claim.claim(folder, config=run.config.to_dict(), **run.origin)
    agreement.first(lambda: workdirs.keep(folder, run.parts.task.kept))
    result = agreement.first(
      lambda: results.read_finished(
        folder,
        total=run.parts.steps.total,
        patience=run.config.train.patience,
        restore_best=run.config.checkpoint.restore_best,
      )
    )
    with tracking.tracked({folder: tracked_by}) as wake:
      if not result:
        data_record.check(folder, run.opened, changed=data_changed)
        teachers_record.check(folder, run.parts.taught.digests)
        wake = functools.partial(wake, folder)
        result = fit(run, folder, profile, watch, wake)
  if run.overfit:
    learnt = run.parts.task.learnt
    sanity.judge_overfit(result["final"]["metrics"], run.overfit, learnt=learnt)
  if notebook.is_running() and agreement.is_first():
    notebook.show_page(folder / "report.html")
  return result


@contextlib.contextmanager
def _process(
  trust: bool,
) -> Iterator[tuple[preemption.Stopping, contextlib.ExitStack]]:
  """The context of a run: SIGTERM flag, trust in code, and the run's locks.

  The locks are released at the end.
  """
  with (
    preemption.requested([signal.SIGTERM]) as terminated,
    contextlib.ExitStack() as held,
    user_code.trusting(trust),
  ):
    yield terminated, held


def _make_trackers(config: ConfigDict) -> dict[str, tracking.Open]:
  """The trackers of a run: only process 0 has some.

  Raises:
    ValueError: as `setup.trackers.make`, in all processes.
  """
  made: dict[str, tracking.Open] = {}
  agreement.first(lambda: made.update(trackers.make(config)))
  return made


def _prepare(
  config: ConfigDict,
  folder: pathlib.Path,
  origin: dict[str, Any],
  extend: tuple[str, str],
  terminated: preemption.Stopping,
  started: float,
) -> Run:
  """Opens the data and makes the objects of a run.

  Args:
    config: of the recipe, or of the folder.
    folder: of the run.
    origin: the recipe, the overrides and `overfit`, for config.json.
    extend: the new duration and the schedule of an extended run, or "".
    terminated: whether SIGTERM has arrived.
    started: the start of this process, in seconds of `time.monotonic`.
  """
  with without_state("the data were opened"):
    splits = opened = setup.open_splits(config)
  duration, schedule = extend
  config, extended = extension.extend(
    config,
    duration,
    schedule=schedule,
    workdir=folder,
    num_examples=opened["train"].num_examples,
  )
  claim.check_alike(config)
  if overfit := origin["overfit"]:
    config, splits = sanity.overfit(config, splits, overfit)
  with without_state("the data were opened"):
    parts = setup.prepare(
      config,
      splits,
      kept=workdirs.read_kept(folder),
      overfit=bool(overfit),
    )
  interruptible = functools.partial(
    preemption.until_stopped, stopping=terminated, signals=[signal.SIGTERM]
  )
  found = evaluators.make_evaluators(parts, interruptible=interruptible)
  return Run(
    config=config,
    parts=parts,
    opened=opened,
    overfit=overfit,
    origin={**origin, "extended": extended},
    evaluators=found,
    measures=evaluators.make_measures(parts, found),
    terminated=terminated,
    started=started,
  )
