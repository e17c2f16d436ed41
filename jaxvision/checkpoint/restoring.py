"""Restoring of checkpoints, with verification.

A state is restored into a template, or as numpy arrays without a template. A
damaged checkpoint is an error, or is replaced by the previous checkpoint.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxvision import trees
from jaxvision.checkpoint import fingerprint, saved_tree
from jaxvision.checkpoint.checkpoints import (
  CheckpointError,
  Manager,
  best_step,
  directory,
  message,
  place,
)
from jaxvision.files import seals
from jaxvision.processes import agreement

Tree = Any

_LOGGER = logging.getLogger(__name__)
# Keys of old records, which were written without a seal.
_UNSEALED = (
  *("step", "seconds", "spent", "window", "best", "unevaluated"),
  "fingerprint",
)


def restore(
  manager: Manager,
  template: Tree,
  *,
  check: Callable[[Tree], None] = lambda _: None,
) -> tuple[Tree, dict[str, Any]] | None:
  """Restores the newest intact checkpoint; None if there are no checkpoints.

  Damaged checkpoints are reported and moved to WORKDIR/damaged.

  Args:
    manager: from `open_manager`.
    template: tree of `jax.ShapeDtypeStruct` with the target shardings, which
      may differ from those at the save.
    check: raises `trees.NotFinite` for a state that must not be resumed.

  Returns:
    The state and its record.

  Raises:
    CheckpointError: there are checkpoints, but no usable one.
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
      error = f"checkpoint {directory(manager)}/{step} is not usable: {caught}"
    if error := next(filter(None, agreement.texts(error)), ""):
      errors[step] = error
      continue
    for damaged, error in errors.items():
      _LOGGER.warning("%s; resuming from step %d instead", error, step)
      set_aside(manager, damaged)
    return restored
  if errors:
    raise CheckpointError(
      "\n".join(errors.values())
      + "\nThis run has no usable checkpoint. Train in another workdir, or "
      "remove the checkpoints folder to start again."
    )
  return None


def restore_step(
  manager: Manager, step: int, template: Tree
) -> tuple[Tree, dict[str, Any]]:
  """Restores and verifies one checkpoint; see `restore`.

  Raises:
    CheckpointError: it cannot be read, or its content was changed.
  """
  with _reading(manager, step):
    state, record = _read(manager, step, template)
    leaves = jax.tree.leaves(state)
  _check_fingerprint(manager, step, leaves, record["fingerprint"])
  return state, record


def restore_variables(manager: Manager, step: int) -> Tree:
  """Restores and verifies the model's variables of one checkpoint.

  This needs no model, optimizer or mesh.

  Args:
    manager: from `open_manager` or `open_saved`.
    step: step of the checkpoint, which has a training state.

  Returns:
    {"params": ..., "batch_stats": ...} of numpy arrays; the moving average if
    the run has one.

  Raises:
    CheckpointError: as for `restore_step`.
    trees.NotFinite: the state has NaN or infinity.
  """
  folder = manager.directory / str(step) / "state"
  with _reading(manager, step):
    state, record = _read(manager, step, saved_tree.template(folder))
    leaves = saved_tree.leaves(state, folder)
  _check_fingerprint(manager, step, leaves, record["fingerprint"])
  trees.check_finite(state, what=f"checkpoint {directory(manager)}/{step}")
  return state["ema"] or {"params": state["params"], **state["model_state"]}


def choose(manager: Manager, which: str) -> int:
  """The step of the checkpoint "last", "best" or a number.

  Raises:
    FileNotFoundError: the checkpoint does not exist.
  """
  steps = manager.all_steps()
  named = {"last": manager.latest_step(), "best": best_step(manager)}
  step = named.get(which, int(which) if which.isdecimal() else None)
  if step not in steps:
    raise FileNotFoundError(
      f"no checkpoint {which!r} in {directory(manager)}; there are "
      f"{', '.join(map(str, steps)) or 'none'}; give last, best or a number"
    )
  return step


@contextlib.contextmanager
def _reading(manager: Manager, step: int) -> Iterator[None]:
  """A context in which any error means that the checkpoint is damaged."""
  try:
    yield
  except Exception as error:  # orbax and tensorstore raise many types
    raise CheckpointError(
      f"checkpoint {directory(manager)}/{step} is damaged: "
      f"{message(manager, error)}"
    ) from error


def _read(
  manager: Manager, step: int, template: Tree
) -> tuple[Tree, dict[str, Any]]:
  args = ocp.args.Composite(
    state=ocp.args.StandardRestore(template), record=ocp.args.JsonRestore()
  )
  found = manager.restore(step, args=args)
  record = _verified(found.record, step)
  record["fingerprint"]  # a record without it is damaged
  return found.state, record


def _check_fingerprint(
  manager: Manager, step: int, leaves: list[Any], saved: str
) -> None:
  now = fingerprint.of(leaves)
  if now != saved:
    raise CheckpointError(
      f"checkpoint {directory(manager)}/{step} is damaged: its arrays have the "
      f"fingerprint {now}, but {saved} was saved"
    )


def _verified(record: Any, step: int) -> dict[str, Any]:
  """Returns the record of a step without its seal; raises ValueError."""
  stated = record.get("step", step) if isinstance(record, dict) else step
  try:
    found = seals.verified(record, place=place(step), unsealed=_UNSEALED)
    if stated == step or found != record:
      return found
  except ValueError:
    if stated == step:
      raise
    # If the seal is valid for the stated step, the folder was renamed.
    # Otherwise the stated step is damaged, and this raises.
    seals.verified(record, place=place(stated), unsealed=_UNSEALED)
  raise ValueError(
    f"its record belongs to step {stated}; if the folder was renamed, rename "
    f"it back to {stated}"
  )


def set_aside(manager: Manager, step: int) -> None:
  """Moves an unusable checkpoint to WORKDIR/damaged.

  Raises:
    CheckpointError: the checkpoint cannot be moved.
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
      f"{error}; the target must be a writable folder: move or remove the "
      "existing file, then run the same command again"
    ) from error
  manager.reload()
