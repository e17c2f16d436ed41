"""Restores checkpoints, each of which is verified.

A state is restored into a template, or without one as numpy arrays. A
checkpoint that is damaged is an error, or is set aside for the one before it.
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
  place,
  words,
)
from jaxvision.files import seals
from jaxvision.processes import agreement

Tree = Any

_LOGGER = logging.getLogger(__name__)
# What records held that were written before they were sealed.
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
  with _reading(manager, step):
    state, record = _read(manager, step, template)
    leaves = jax.tree.leaves(state)
  _check_fingerprint(manager, step, leaves, record["fingerprint"])
  return state, record


def restore_variables(manager: Manager, step: int) -> Tree:
  """The variables of the model in one checkpoint, verified.

  Neither the model nor the optimizer is needed, and no mesh.

  Args:
    manager: from `open_manager` or `open_saved`.
    step: of the checkpoint, which has the state of a training.

  Returns:
    {"params": ..., "batch_stats": ...} of numpy arrays: the moving average
    where the run keeps one.

  Raises:
    CheckpointError: as for `restore_step`.
    trees.NotFinite: the state has a NaN or an infinity.
  """
  folder = manager.directory / str(step) / "state"
  with _reading(manager, step):
    state, record = _read(manager, step, saved_tree.template(folder))
    leaves = saved_tree.leaves(state, folder)
  _check_fingerprint(manager, step, leaves, record["fingerprint"])
  trees.check_finite(state, what=f"checkpoint {directory(manager)}/{step}")
  return state["ema"] or {"params": state["params"], **state["model_state"]}


def choose(manager: Manager, which: str) -> int:
  """The step of the checkpoint that is named: "last", "best" or a number.

  Raises:
    FileNotFoundError: there is no such checkpoint.
  """
  steps = manager.all_steps()
  named = {"last": manager.latest_step(), "best": best_step(manager)}
  step = named.get(which, int(which) if which.isdecimal() else None)
  if step not in steps:
    raise FileNotFoundError(
      f"no checkpoint {which!r} in {directory(manager)}; there are "
      f"{', '.join(map(str, steps)) or 'none'}; say last, best or a number"
    )
  return step


@contextlib.contextmanager
def _reading(manager: Manager, step: int) -> Iterator[None]:
  """In it, any error means that the checkpoint is damaged."""
  try:
    yield
  except Exception as error:  # whatever orbax and tensorstore raise
    raise CheckpointError(
      f"checkpoint {directory(manager)}/{step} is damaged: "
      f"{words(manager, error)}"
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
  """The record of a step without its seal, or a ValueError."""
  says = record.get("step", step) if isinstance(record, dict) else step
  try:
    found = seals.verified(record, place=place(step), unsealed=_UNSEALED)
    if says == step or found != record:
      return found
  except ValueError:
    if says == step:
      raise
    # Whole at the step that it names: the folder has another name. Otherwise
    # the number is damaged, which this says.
    seals.verified(record, place=place(says), unsealed=_UNSEALED)
  raise ValueError(
    f"its record is that of step {says}; a folder that was renamed needs its "
    f"own name again: {says}"
  )


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
