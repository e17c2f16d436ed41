"""Checkpoints: the state and the record that a run needs to resume exactly.

A checkpoint is a folder WORKDIR/checkpoints/STEP with the state (any tree of
arrays) and a small record (JSON). The folder gets its name only when it is
complete, so a process that is killed while saving leaves the previous
checkpoint intact. The record has a fingerprint of the state. The record and the
score are sealed with the step. A restore verifies all of them.
"""

import contextlib
import copy
import logging
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxvision import files
from jaxvision.checkpoint import fingerprint, orbax_metadata, scores
from jaxvision.files import paths, seals
from jaxvision.processes import agreement, console

Tree = Any
_FOLDER = "checkpoints"

_LOGGER = logging.getLogger(__name__)


class Manager(ocp.CheckpointManager):
  """Orbax's manager; it treats a damaged score as a missing score."""

  def metrics(self, step: int) -> dict[str, float] | None:
    """The metrics by which orbax compares checkpoints."""
    try:
      score = scores.read(directory(self), step)
    except (ValueError, OSError):
      return None  # `best_step` warns of it.
    return None if score is None else {"score": score}


class CheckpointError(Exception):
  """A checkpoint could not be written or read; the message has the remedy."""


@contextlib.contextmanager
def open_manager(
  workdir: str | pathlib.Path, *, keep: int = 2
) -> Iterator[Manager]:
  """Opens the checkpoints of a run; at the end waits for saves, and closes.

  Args:
    workdir: the run's folder.
    keep: number of newest checkpoints to keep, besides the best one.
  """
  console.quiet_orbax()
  options = ocp.CheckpointManagerOptions(
    best_fn=_score,
    cleanup_tmp_directories=True,
    preservation_policy=_preservation(keep),
  )
  with paths.plain(workdir, alone=jax.process_count() == 1) as folder:
    # Only a single process repairs: another could open a file being removed.
    alone = jax.process_count() == 1
    manager = _open(folder / _FOLDER, options, repair=alone)
    # `stopping` decides on preemption; orbax would query jax with other steps.
    manager.reached_preemption = lambda step: False
    try:
      yield manager
      wait(manager)
    finally:
      with contextlib.suppress(Exception):  # already raised above
        manager.close()


def _open(
  folder: pathlib.Path, options: ocp.CheckpointManagerOptions, *, repair: bool
) -> Manager:
  """Opens a folder; with `repair` removes damaged metadata files of orbax."""
  try:
    return Manager(folder, options=options)
  except (ValueError, TypeError, AttributeError, KeyError) as error:
    damaged = orbax_metadata.damaged(folder)
    names = ", ".join(str(paths.real(each)) for each in damaged)
    if not damaged or not repair:
      raise CheckpointError(
        f"{names or paths.real(folder)} is damaged: {error}; remove it, or run "
        "the train command of this run as one process, which removes it"
      ) from error
  _LOGGER.warning("%s is damaged and removed; it had only a time", names)
  for path in damaged:
    path.unlink(missing_ok=True)
  return Manager(folder, options=options)


def _preservation(keep: int) -> Any:
  """The policy: keep the newest checkpoints and the one with the best score."""
  policy = checkpoint_managers.preservation_policy
  best = policy.BestN(
    get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
  )
  return policy.AnyPreservationPolicy([policy.LatestN(keep), best])


@contextlib.contextmanager
def open_saved(workdir: str | pathlib.Path) -> Iterator[Manager]:
  """Opens the checkpoints of a run for reading, even while it trains.

  Raises:
    FileNotFoundError: the run has no checkpoints.
  """
  if not (pathlib.Path(workdir) / _FOLDER).is_dir():
    raise FileNotFoundError(
      f"no checkpoints in {workdir}; `jaxvision train` writes them"
    )
  console.quiet_orbax()
  # Read-only: otherwise orbax deletes checkpoints that are being saved.
  options = ocp.CheckpointManagerOptions(
    best_fn=_score, read_only=True, create=False, save_interval_steps=0
  )
  with (
    paths.plain(workdir, alone=jax.process_count() == 1) as folder,
    _open(folder / _FOLDER, options, repair=False) as manager,
  ):
    yield manager


def newest(workdir: str | pathlib.Path) -> int | None:
  """The largest step among the names of checkpoints; None if there are none."""
  return max(scores.steps(pathlib.Path(workdir) / _FOLDER), default=None)


def directory(manager: Manager) -> pathlib.Path:
  """The folder of the checkpoints, as the path that the user gave."""
  return paths.real(manager.directory)


def best_step(manager: Manager) -> int | None:
  """The step with the best readable score; None if there is no score."""
  return scores.best(directory(manager))


def wait(manager: Manager) -> None:
  """Waits until all checkpoints are on disk.

  Raises:
    CheckpointError: a checkpoint could not be saved.
  """
  _explained(manager, manager.wait_until_finished)


def save(
  manager: Manager,
  step: int,
  state: Tree,
  record: Mapping[str, Any],
  *,
  score: float | None = None,
) -> None:
  """Saves asynchronously; the state may be donated as soon as this returns.

  Args:
    manager: from `open_manager`.
    step: the step; an existing checkpoint of the step is not changed.
    state: tree of arrays, on any mesh.
    record: JSON values, returned by `restoring.restore`.
    score: larger is better; None if there is no score yet.

  Raises:
    CheckpointError: this or the previous save failed (a full disk, ...).
  """
  if step in manager.all_steps():
    return
  # A copy, because the caller changes the record during the write.
  record = copy.deepcopy({**record, "fingerprint": fingerprint.of(state)})
  record = seals.sealed(record, place=place(step))
  args = ocp.args.Composite(
    state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
  )
  metrics = None if score is None else scores.metrics(step, score)
  _explained(manager, lambda: manager.save(step, args=args, metrics=metrics))


def place(step: int) -> str:
  """The name of a checkpoint's record in its seal."""
  return f"the record of step {step}"


def add_score(manager: Manager, step: int, score: float) -> None:
  """Adds a score to a checkpoint that was saved without one."""
  wait(manager)
  agreement.first(lambda: scores.write(directory(manager), step, score))
  manager.reload()


def forget_scores(manager: Manager) -> None:
  """Removes the scores of all checkpoints, when the metric changes."""
  wait(manager)
  folders = [directory(manager) / str(step) for step in manager.all_steps()]

  def remove() -> None:
    for folder in folders:
      shutil.rmtree(folder / "metrics", ignore_errors=True)

  agreement.first(remove)
  manager.reload()


def _score(metrics: Mapping[str, float]) -> float:
  return metrics["score"]


def _explained(manager: Manager, action: Callable[[], Any]) -> None:
  try:
    action()
  except Exception as error:
    steps = manager.all_steps(read=True)
    kept = (
      f"the last good one is {max(steps)}" if steps else "there is none yet"
    )
    raise CheckpointError(
      f"could not save a checkpoint in {directory(manager)}: "
      f"{message(manager, error)}; {kept}. {_remedy(error)}Then run the same "
      "command again to resume."
    ) from error


def message(manager: Manager, error: BaseException) -> str:
  """The message of a library, with the path that the user gave."""
  return str(error).replace(str(manager.directory), str(directory(manager)))


def _remedy(error: BaseException) -> str:
  if files.disk_is_full(error):
    return "Free some space, or move the run to a larger disk. "
  return "Make the folder writable. "
