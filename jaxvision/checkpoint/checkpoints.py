"""Saves and restores a state with everything a run needs to go on exactly.

A checkpoint is a folder WORKDIR/checkpoints/STEP with the state (any tree of
arrays) and a small record (JSON). It appears under its name only when it is
complete, so a process killed while saving leaves the one before it. The record
holds a fingerprint of the state, and is sealed with its step as the score is:
all of it is compared when it is read again.
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
from jaxvision.checkpoint import fingerprint, orbax_notes, scores
from jaxvision.files import paths, seals
from jaxvision.processes import agreement, console

Tree = Any
_FOLDER = "checkpoints"

_LOGGER = logging.getLogger(__name__)


class Manager(ocp.CheckpointManager):
  """Orbax's, for which a damaged score is one that was not measured."""

  def metrics(self, step: int) -> dict[str, float] | None:
    """What orbax compares checkpoints by."""
    try:
      score = scores.read(directory(self), step)
    except (ValueError, OSError):
      return None  # `best_step` warns of it.
    return None if score is None else {"score": score}


class CheckpointError(Exception):
  """A checkpoint could not be written or read; the message says what to do."""


@contextlib.contextmanager
def open_manager(
  workdir: str | pathlib.Path, *, keep: int = 2
) -> Iterator[Manager]:
  """The checkpoints of a run, closed (and finished saving) at the end.

  Args:
    workdir: the run's folder.
    keep: how many of the newest stay, beside the best one.
  """
  console.quiet_orbax()
  options = ocp.CheckpointManagerOptions(
    best_fn=_score,
    cleanup_tmp_directories=True,
    preservation_policy=_preservation(keep),
  )
  with paths.plain(workdir, alone=jax.process_count() == 1) as folder:
    # Of several processes one might open what another is removing.
    alone = jax.process_count() == 1
    manager = _open(folder / _FOLDER, options, repair=alone)
    # It would ask jax by the number of the step, and `stopping` by another.
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
  """The checkpoints of a folder, perhaps without damaged notes of orbax."""
  try:
    return Manager(folder, options=options)
  except (ValueError, TypeError, AttributeError, KeyError) as error:
    damaged = orbax_notes.damaged(folder)
    names = ", ".join(str(paths.real(each)) for each in damaged)
    if not damaged or not repair:
      raise CheckpointError(
        f"{names or paths.real(folder)} is damaged: {error}; remove it, or "
        "give the train command of this run again, which does so in one process"
      ) from error
  _LOGGER.warning("%s is damaged and removed; it said only when", names)
  for note in damaged:
    note.unlink(missing_ok=True)
  return Manager(folder, options=options)


def _preservation(keep: int) -> Any:
  """The newest stay, and the best of those that were measured."""
  policy = checkpoint_managers.preservation_policy
  best = policy.BestN(
    get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
  )
  return policy.AnyPreservationPolicy([policy.LatestN(keep), best])


@contextlib.contextmanager
def open_saved(workdir: str | pathlib.Path) -> Iterator[Manager]:
  """The checkpoints of a run to read, perhaps while it goes on training.

  Raises:
    FileNotFoundError: there are none.
  """
  if not (pathlib.Path(workdir) / _FOLDER).is_dir():
    raise FileNotFoundError(
      f"no checkpoints in {workdir}; `jaxvision train` makes them"
    )
  console.quiet_orbax()
  # Anything else would delete what the other process is saving.
  options = ocp.CheckpointManagerOptions(
    best_fn=_score, read_only=True, create=False, save_interval_steps=0
  )
  with (
    paths.plain(workdir, alone=jax.process_count() == 1) as folder,
    _open(folder / _FOLDER, options, repair=False) as manager,
  ):
    yield manager


def newest(workdir: str | pathlib.Path) -> int | None:
  """The step of a run's newest checkpoint by its name; None without any."""
  return max(scores.steps(pathlib.Path(workdir) / _FOLDER), default=None)


def directory(manager: Manager) -> pathlib.Path:
  """The folder of the checkpoints, as users know it."""
  return paths.real(manager.directory)


def best_step(manager: Manager) -> int | None:
  """The checkpoint of the best score that can be read; None for none."""
  return scores.best(directory(manager))


def wait(manager: Manager) -> None:
  """Returns when everything is on disk.

  Raises:
    CheckpointError: it could not be saved.
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
    step: its number; a step that is there already is left as it is.
    state: tree of arrays, on any mesh.
    record: what JSON can hold, given back by `restoring.restore`.
    score: larger is better; None where nothing was measured.

  Raises:
    CheckpointError: this or the previous save failed (a full disk, ...).
  """
  if step in manager.all_steps():
    return
  # A copy: the caller goes on changing it while this is being written.
  record = copy.deepcopy({**record, "fingerprint": fingerprint.of(state)})
  record = seals.sealed(record, place=place(step))
  args = ocp.args.Composite(
    state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
  )
  metrics = None if score is None else scores.metrics(step, score)
  _explained(manager, lambda: manager.save(step, args=args, metrics=metrics))


def place(step: int) -> str:
  """What the record of a checkpoint is called where it is sealed."""
  return f"the record of step {step}"


def add_score(manager: Manager, step: int, score: float) -> None:
  """Tells of a checkpoint that was saved without it how good it is."""
  wait(manager)
  agreement.first(lambda: scores.write(directory(manager), step, score))
  manager.reload()


def forget_scores(manager: Manager) -> None:
  """Takes the scores off all checkpoints: now another metric decides."""
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
      f"{words(manager, error)}; {kept}. {_remedy(error)}Then give the same "
      "command again to go on from it."
    ) from error


def words(manager: Manager, error: BaseException) -> str:
  """What a library says, of the folder as users know it."""
  return str(error).replace(str(manager.directory), str(directory(manager)))


def _remedy(error: BaseException) -> str:
  if files.disk_is_full(error):
    return "Free some space, or move the run to a larger disk. "
  return "Make the folder writable. "
