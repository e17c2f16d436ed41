"""The trials of a sweep, trained alone or in groups, and their outcomes.

The trials of a group are a stack. Each trial has a folder with its metrics, its
last checkpoint and its result, so another process can resume it alone. A group
does not save the best checkpoints, because a save takes longer than many steps
of a small model. A group writes neither reports nor the arrays of reports,
because they take seconds for each trial.
"""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxvision import checkpoint, files, sweeps, training, user_code
from jaxvision import config as configs
from jaxvision.processes import preemption
from jaxvision.runs import metrics_log
from jaxvision.runs import trackers as tracking
from jaxvision.runs import workdir as workdirs
from jaxvision.sweeps.vectorized import programs, stack
from jaxvision.training import setup
from jaxvision.training.loop import divergence, results, train_loop
from jaxvision.training.setup import (
  data_record,
  initial_state,
  teachers_record,
  trackers,
)
from jaxvision.xla import cache

# {trial: (step, total steps, values of an evaluation)} -> {trial: the reason to
# stop it early}.
Watch = Callable[
  [Mapping[int, tuple[int, int, Mapping[str, float]]]], Mapping[int, str]
]

# Texts of XLA's errors when a device is out of memory.
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory")
_LONGEST_REASON = 500  # characters
# Minimum seconds between two saves. Shorter groups save only at their end.
_SAVE_SECONDS = 60.0
_LOGGER = logging.getLogger(__name__)


def run(recipe: str, **arguments: Any) -> sweeps.Outcome:
  """Trains a trial alone and returns its outcome, also after a failure.

  Args:
    recipe: as in `training.train`.
    **arguments: as in `training.train`.

  Raises:
    train_loop.Preempted: the process is preempted, and the run is saved.
    sweeps.Lost: the trial was given to another worker.
    Exception: the disk is full. This does not count as a failure of the trial.
  """
  try:
    # The storage has reserved the trial for this worker.
    training.train(recipe, claimed=True, **arguments)
  except train_loop.Ended as end:
    return sweeps.Outcome("pruned", str(end))
  except (train_loop.Preempted, sweeps.Lost):
    raise
  except Exception as error:
    if files.disk_is_full(error):
      raise
    _LOGGER.exception("the trial in %s failed", arguments["workdir"])
    return sweeps.Outcome("failed", _reason(error))
  return sweeps.Outcome("complete")


def run_together(
  recipe: str,
  *,
  workdirs: Sequence[pathlib.Path],
  overrides: Sequence[Mapping[str, Any]],
  watch: Watch,
  copies: Mapping[str, user_code.Bundle] | None = None,
) -> list[sweeps.Outcome | None]:
  """Trains trials in groups that share their programs.

  Args:
    recipe: of all trials.
    workdirs, overrides: of each trial.
    watch: receives the evaluations of a group, and may stop trials early. The
      key of a trial is its place in these lists.
    copies: of the code of the sweep, as in `training.train`.

  Returns:
    The outcome of each trial; None for a trial that must be run alone. Such a
    trial may still fail, and its own run reports the error.

  Raises:
    train_loop.Preempted: the process is preempted; all trials are saved.
  """
  cache.cache_compilations()
  outcomes: list[sweeps.Outcome | None] = [None] * len(workdirs)
  with preemption.requested([signal.SIGTERM]) as should_stop:
    trials = _prepare(recipe, overrides, copies, should_stop)
    for group in stack.groups(trials):
      folders = {i: workdirs[i] for i in group}
      for i, folder in folders.items():
        _claim(trials[i], folder, recipe=recipe, overrides=overrides[i])
      try:
        left = _train(
          {i: trials[i] for i in group}, folders, watch, should_stop
        )
      except jax.errors.JaxRuntimeError as error:
        if not _is_out_of_memory(error):
          raise
        _LOGGER.warning("out of memory for %d trials together", len(group))
        continue
      for i in group:
        outcomes[i] = _outcome(left.get(i))
  return outcomes


def _prepare(
  recipe: str,
  overrides: Sequence[Mapping[str, Any]],
  copies: Mapping[str, user_code.Bundle] | None,
  should_stop: preemption.Stopping,
) -> dict[int, stack.Trial]:
  """The trials that may share a program, by their place in the list."""
  trials: dict[int, stack.Trial] = {}
  known: list[_Opened] = []
  for i, each in enumerate(overrides):
    if should_stop():
      raise train_loop.Preempted("SIGTERM arrived before the first step")
    try:
      config = configs.load(recipe, each, copies=copies)
      config = initial_state.with_implied_options(config)
      if why := stack.why_alone(config):
        _LOGGER.info("a trial is run alone: %s", why)
        continue
      opened, by = _open(config, known), _taught_by(config)
      parts = setup.prepare(config, opened.splits, taught=opened.taught.get(by))
      opened.taught[by] = parts.taught
      if parts.statistics:
        _LOGGER.info(
          "a trial is run alone: it recomputes the batch statistics of its "
          'average; with ema.statistics="0 steps" it is trained with others'
        )
        continue
      trials[i] = stack.Trial(config, parts, programs.trace(config, parts))
    except (ValueError, OSError) as error:
      _LOGGER.info("a trial is run alone: %s", error)
  return trials


@dataclasses.dataclass(frozen=True)
class _Opened:
  """The splits that several trials share.

  Attributes:
    keys: from `setup.split_keys`.
    splits: by role.
    taught: the teachers of these trials, by `_taught_by`.
  """

  keys: tuple[Any, ...]
  splits: dict[str, Any]
  taught: dict[tuple[Any, ...], Any] = dataclasses.field(default_factory=dict)


def _open(config: configs.ConfigDict, known: list[_Opened]) -> _Opened:
  """The splits of a config, opened once; new ones are added to `known`."""
  keys = setup.split_keys(config)
  for each in known:
    if each.keys == keys:
      return each
  known.append(_Opened(keys, setup.open_splits(config)))
  return known[-1]


def _taught_by(config: configs.ConfigDict) -> tuple[Any, ...]:
  """The keys on which the loaded teachers of a trial depend."""
  task = config.task
  keys = (task.teachers, task.teacher_image_size, task.teacher_logits)
  return (*keys, config.data.channels, config.precision.compute)


def _claim(trial: stack.Trial, folder: pathlib.Path, **origin: Any) -> None:
  """Creates the folder of a trial and records its data and environment."""
  workdirs.claim(folder, config=trial.config.to_dict(), **origin)
  workdirs.keep(folder, trial.parts.task.kept)
  data_record.check(folder, trial.parts.splits)
  teachers_record.check(folder, trial.parts.taught.digests)
  results.record_start(folder, trial.parts.mesh)


def _train(
  trials: Mapping[int, stack.Trial],
  folders: Mapping[int, pathlib.Path],
  watch: Watch,
  should_stop: preemption.Stopping,
) -> dict[int, Exception]:
  """Trains a group, writes its results, and returns errors by trial.

  Raises:
    train_loop.Preempted: the process is preempted; all trials are saved.
  """
  first = next(iter(trials.values()))
  parts = first.parts
  with contextlib.ExitStack() as held:
    for folder in folders.values():
      held.enter_context(workdirs.held(folder, claimed=True))
    made = {folders[i]: trackers.make(t.config) for i, t in trials.items()}
    wake = held.enter_context(tracking.tracked(made))
    with contextlib.ExitStack() as opened:
      members = {
        _member(trial, folders[i], opened, wake): i
        for i, trial in trials.items()
      }
      program, state = stack.make_program(list(trials.values()))
      facts = results.describe(parts, None)
      found: dict[int, dict[str, Any] | train_loop.Diverged] = {}

      def finish(ended: train_loop.Stack) -> None:
        found.update(_finished(ended, members, trials, facts))

      ended = train_loop.run_loop(
        program,
        state,
        members=list(members),
        settings=train_loop.Settings(
          steps=parts.steps,
          batch_size=parts.batches["train"].batch_size,
          num_examples=parts.splits["train"].num_examples,
          watch=functools.partial(_watch_members, watch, members),
          save_seconds=_SAVE_SECONDS,
          patience=first.config.train.patience,
          finish=finish,
        ),
        should_stop=should_stop,
      )
    if ended.members:
      finish(ended)
    left = _write_results(ended, members, found, folders, facts)
  for error in left.values():
    if isinstance(error, train_loop.Preempted):
      raise error
  return left


def _watch_members(
  watch: Watch,
  members: Mapping[train_loop.Member, int],
  evaluations: Mapping[train_loop.Member, tuple[int, int, Mapping[str, float]]],
) -> dict[train_loop.Member, str]:
  """`watch`, for the members of the loop."""
  reasons = watch(
    {members[member]: each for member, each in evaluations.items()}
  )
  return {member: reasons[i] for member, i in members.items() if reasons.get(i)}


def _member(
  trial: stack.Trial,
  folder: pathlib.Path,
  opened: contextlib.ExitStack,
  wake: Callable[[pathlib.Path], None],
) -> train_loop.Member:
  """A trial in the loop; its files are closed with `opened`.

  Event files take long for small trials, so only log.trackers asks for them.
  """
  lines = metrics_log.open_metrics(
    folder,
    first_step=0,
    tensorboard=trackers.writes_events(trial.config),
    written=functools.partial(wake, folder),
  )
  keep = trial.config.checkpoint.keep

  # A trial with a checkpoint folder is resumed alone. Therefore the first save
  # creates the folder.
  @functools.cache
  def manager() -> checkpoint.Manager:
    return opened.enter_context(checkpoint.open_manager(folder, keep=keep))

  return train_loop.Member(
    record=train_loop.empty_record(),
    schedule=trial.parts.schedule,
    write=opened.enter_context(lines),
    save=lambda *args, **named: checkpoint.save(manager(), *args, **named),
    wait=lambda: checkpoint.wait(manager()),
    best=trial.parts.best,
  )


def _finished(
  ended: train_loop.Stack,
  members: Mapping[train_loop.Member, int],
  trials: Mapping[int, stack.Trial],
  facts: Mapping[str, Any],
) -> dict[int, dict[str, Any] | train_loop.Diverged]:
  """The results of complete trials, or the errors of their evaluation."""
  evaluations = ended.program.final(ended.state)
  states = ended.program.split(ended.state)
  found: dict[int, dict[str, Any] | train_loop.Diverged] = {}
  for place, member in ended.members.items():
    i = members[member]
    try:
      found[i] = results.finished(
        trials[i].parts,
        facts,
        state=states[place],
        record=member.record,
        evaluation=evaluations[place],
        step=member.record["step"],
      )
    except train_loop.Diverged as error:
      found[i] = error
  return found


def _write_results(
  ended: train_loop.Stack,
  members: Mapping[train_loop.Member, int],
  found: Mapping[int, dict[str, Any] | train_loop.Diverged],
  folders: Mapping[int, pathlib.Path],
  facts: Mapping[str, Any],
) -> dict[int, Exception]:
  """Writes the results of all trials.

  Returns:
    The errors of the trials that have not finished.
  """
  left: dict[int, Exception] = {
    members[member]: error
    for member, error in ended.left.items()
    if not isinstance(error, train_loop.NoGain)
  }
  left |= {i: e for i, e in found.items() if isinstance(e, Exception)}
  for member, i in members.items():
    result = found.get(i)
    if i in left:
      result = {**facts, "status": _status(left[i], folders[i])}
    results.write_result(folders[i], result, member.record)
  return left


def _status(error: Exception, folder: pathlib.Path) -> str:
  """The status of a trial that has not finished."""
  if isinstance(error, train_loop.Preempted):
    return f"preempted: {error}"
  if isinstance(error, train_loop.Ended):
    return f"ended early: {error}"
  if checkpoint.newest(folder) is None:
    return divergence.explain(None, error)
  with checkpoint.open_manager(folder) as manager:
    return divergence.explain(manager, error)


def _outcome(error: Exception | None) -> sweeps.Outcome:
  """The outcome of a trial that was trained in a group."""
  if error is None:
    return sweeps.Outcome("complete")
  if isinstance(error, train_loop.Ended):
    return sweeps.Outcome("pruned", str(error))
  return sweeps.Outcome("failed", _reason(error))


def _reason(error: Exception) -> str:
  """Why a trial failed, in a line."""
  text = " ".join(str(error).split())[:_LONGEST_REASON]
  if isinstance(error, train_loop.Diverged):
    return f"diverged: {text}"
  if _is_out_of_memory(error):
    return f"out of memory: {text}"
  return f"{type(error).__name__}: {text}"


def _is_out_of_memory(error: Exception) -> bool:
  return isinstance(error, MemoryError) or any(
    text in str(error) for text in _NO_MEMORY
  )
