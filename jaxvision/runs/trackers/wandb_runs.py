"""Runs in Weights & Biases.

Each line of the log is a row of the history with the field "step", which is the
axis of all charts. W&B drops a row if its own number is not larger than the
last one, and two lines may have one step. Therefore its own number counts the
lines of the run, over all processes.
"""

import itertools
import os
from collections.abc import Mapping
from typing import Any

from jaxvision.runs.trackers.contract import End, Open, Session, TrackedRun

_STEP = "step"
# After this time, in seconds, W&B gives up at the start of a run, and at its
# end. Otherwise the exit of the process would wait for its server.
_SECONDS = 20.0


def wandb(*, project: str = "", entity: str = "") -> Open:
  """Makes the tracker.

  Args:
    project: "" is $WANDB_PROJECT, else the default of W&B.
    entity: the user or team; "" is $WANDB_ENTITY, else the default of W&B.

  Raises:
    ValueError: the package is not installed, or there is no key for the server.
  """
  try:
    import wandb as library
  except ImportError as error:
    raise ValueError(
      f"the tracker wandb needs the package wandb ({error}): pip install "
      "'jaxvision[wandb]', or remove it from log.trackers"
    ) from error
  _check_key(library)

  def open_run(run: TrackedRun) -> Session:
    return _open(library, run, project=project, entity=entity)

  return open_run


def _check_key(library: Any) -> None:
  """Raises ValueError where W&B would ask for its key in the terminal."""
  if library.setup().settings.mode != "online":
    return
  if not library.login(prompt=False, verify=False):
    raise ValueError(
      "the tracker wandb has no key for its server: run `wandb login`, set "
      "WANDB_API_KEY, or set WANDB_MODE=offline to send the runs later"
    )


def _open(
  library: Any, run: TrackedRun, *, project: str, entity: str
) -> Session:
  axes = {f"axis.{key}": value for key, value in run.axes.items()}
  opened = library.init(
    project=project or None,
    entity=entity or None,
    id=run.id,
    resume="allow",
    name=run.name,
    group=run.group or None,
    config={**run.config, **axes},
    dir=os.environ.get("WANDB_DIR", run.folder),
    # The trials of a group are runs of one process.
    reinit="create_new",
    allow_val_change=True,
    settings=library.Settings(
      console="off",
      silent=True,
      init_timeout=_SECONDS,
      finish_timeout=_SECONDS,
      finish_timeout_raises=True,
    ),
  )
  opened.define_metric(_STEP, hidden=True)
  opened.define_metric("*", step_metric=_STEP)

  numbers = itertools.count(run.sent)

  def log(step: int, values: Mapping[str, float]) -> None:
    row = {_STEP: step, **values}
    opened.log(row, step=next(numbers), commit=True)

  def finish(end: End) -> None:
    opened.summary.update({**end.summary, "status": end.status})
    if end.report:
      page = library.Artifact(f"report-{run.id}", type="report")
      page.add_file(str(end.report))
      opened.log_artifact(page)
    if end.state == "preempted":
      opened.mark_preempting()
    opened.finish(exit_code=int(end.state in ("preempted", "failed")))

  return Session(log=log, finish=finish)
