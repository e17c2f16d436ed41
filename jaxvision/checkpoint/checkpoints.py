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

from jaxvision import files, trees
from jaxvision.checkpoint import fingerprint, orbax_notes, scores
from jaxvision.files import paths, seals
from jaxvision.processes import agreement, console

Tree = Any
_FOLDER = "checkpoints"

_LOGGER = logging.getLogger(__name__)
# What records held that were written before they were sealed.
_UNSEALED = (
  *("step", "seconds", "spent", "window", "best", "unevaluated"),
  "fingerprint",
)


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
    record: what JSON can hold, given back by `restore`.
    score: larger is better; None where nothing was measured.

  Raises:
    CheckpointError: this or the previous save failed (a full disk, ...).
  """
  if step in manager.all_steps():
    return
  # A copy: the caller goes on changing it while this is being written.
  record = copy.deepcopy({**record, "fingerprint": fingerprint.of(state)})
  record = seals.sealed(record, place=_place(step))
  args = ocp.args.Composite(
    state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
  )
  metrics = None if score is None else scores.metrics(step, score)
  _explained(manager, lambda: manager.save(step, args=args, metrics=metrics))


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


def restore(
  manager: Manager,
  template: Tree,
  *,
  check: Callable[[Tree], None] = lambda _: None,
) -> tuple[Tree, dict[str, Any]] | None:
  """The newest checkpoint that is whole, or None where there is none.

  Damaged ones are reported and moved to WORKDIR/damaged.

  Args:
    manager: from `open_manager`.
    template: tree of `jax.ShapeDtypeStruct` with the shardings wanted, which
      need not be those it was saved with.
    check: raises `trees.NotFinite` for a state that nothing shall go on from.

  Returns:
    The state and the record it was saved with.

  Raises:
    CheckpointError: there are checkpoints, but none can be gone on from.
  """
  errors = {}
  for step in sorted(manager.all_steps(), reverse=True):
    try:
      restored = restore_step(manager, step, template)
      check(restored[0])
      error = ""
    except CheckpointError as caught:
      error = str(caught)
    except trees.NotFinite as caught:
      error = f"checkpoint {directory(manager)}/{step} is not good: {caught}"
    if error := next(filter(None, agreement.texts(error)), ""):
      errors[step] = error
      continue
    for damaged, error in errors.items():
      _LOGGER.warning("%s; going on from step %d instead", error, step)
      set_aside(manager, damaged)
    return restored
  if errors:
    raise CheckpointError(
      "\n".join(errors.values())
      + "\nNo checkpoint of this run can be read. Train in another workdir, or "
      "remove the checkpoints folder to start again."
    )
  return None


def restore_step(
  manager: Manager, step: int, template: Tree
) -> tuple[Tree, dict[str, Any]]:
  """One checkpoint, verified; see `restore`.

  Raises:
    CheckpointError: it cannot be read, or is not what was saved.
  """
  path = directory(manager) / str(step)
  args = ocp.args.Composite(
    state=ocp.args.StandardRestore(template), record=ocp.args.JsonRestore()
  )
  try:
    found = manager.restore(step, args=args)
    record = _verified(found.record, step)
    saved = record["fingerprint"]
  except Exception as error:  # whatever orbax and tensorstore raise
    raise CheckpointError(
      f"checkpoint {path} is damaged: {_words(manager, error)}"
    ) from error
  now = fingerprint.of(found.state)
  if now != saved:
    raise CheckpointError(
      f"checkpoint {path} is damaged: its arrays have the fingerprint {now}, "
      f"but {saved} was saved"
    )
  return found.state, record


def _verified(record: Any, step: int) -> dict[str, Any]:
  """The record of a step without its seal, or a ValueError."""
  says = record.get("step", step) if isinstance(record, dict) else step
  try:
    found = seals.verified(record, place=_place(step), unsealed=_UNSEALED)
    if says == step or found != record:
      return found
  except ValueError:
    if says == step:
      raise
    # Whole at the step that it names: the folder has another name. Otherwise
    # the number is damaged, which this says.
    seals.verified(record, place=_place(says), unsealed=_UNSEALED)
  raise ValueError(
    f"its record is that of step {says}; a folder that was renamed needs its "
    f"own name again: {says}"
  )


def _place(step: int) -> str:
  return f"the record of step {step}"


def set_aside(manager: Manager, step: int) -> None:
  """Moves a checkpoint, which nothing shall go on from, to WORKDIR/damaged.

  Raises:
    CheckpointError: it cannot be moved.
  """
  source = directory(manager) / str(step)
  target = directory(manager).parent / "damaged" / str(step)

  def move() -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    source.rename(target)

  try:
    agreement.first(move)
  except (ValueError, OSError) as error:
    raise CheckpointError(
      f"the damaged checkpoint {source} cannot be moved to {target.parent}: "
      f"{error}; that must be a folder that you may write: move or remove what "
      "is there, then give the same command again"
    ) from error
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
      f"{_words(manager, error)}; {kept}. {_remedy(error)}Then give the same "
      "command again to go on from it."
    ) from error


def _words(manager: Manager, error: BaseException) -> str:
  """What a library says, of the folder as users know it."""
  return str(error).replace(str(manager.directory), str(directory(manager)))


def _remedy(error: BaseException) -> str:
  if files.disk_is_full(error):
    return "Free some space, or move the run to a larger disk. "
  return "Make the folder writable. "
