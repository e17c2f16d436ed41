"""The training of a prepared run: compile, restore, loop, write results."""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxvision import checkpoint, trees
from jaxvision.config import ConfigDict
from jaxvision.processes import agreement, preemption, progress
from jaxvision.runs import metrics_log
from jaxvision.runs import workdir as workdirs
from jaxvision.training import setup
from jaxvision.training.loop import (
  average_statistics,
  compilation,
  divergence,
  evaluators,
  predictions,
  profiling,
  results,
  train_loop,
)
from jaxvision.training.setup import initial_state, sanity, trackers
from jaxvision.training.step import TrainState
from jaxvision.xla import accelerators

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Run:
  """A prepared run, whose step is not compiled yet.

  Attributes:
    config, parts: of the run.
    opened: the splits of the data, before those of an overfitting check.
    overfit: the number of examples of an overfitting check; 0 without one.
    origin: the fields of config.json beside the config, such as the recipe
      and the overrides.
    evaluators, measures: from `evaluators`.
    terminated: whether SIGTERM has arrived.
    started: the start of this process, in seconds of `time.monotonic`.
  """

  config: ConfigDict
  parts: setup.Parts
  opened: dict[str, Any]
  overfit: int
  origin: dict[str, Any]
  evaluators: evaluators.Evaluators
  measures: evaluators.Measures
  terminated: preemption.Stopping
  started: float


def fit(
  run: Run,
  folder: pathlib.Path,
  profile: range,
  watch: Callable[..., str],
  wake: Callable[[], None],
) -> dict[str, Any]:
  """Trains a run to its end and returns the content of result.json.

  The state is restored from the newest checkpoint. Without a checkpoint it is
  initialised.

  Args:
    run: prepared.
    folder: of the run.
    profile, watch: as in `training.train`.
    wake: is called after each line of the log, for the trackers.
  """
  parts = run.parts
  with without_state("the step was compiled"):
    step, feed, memory = compilation.compile_step(parts)
  facts = results.describe(parts, memory)
  results.announce(parts, facts)
  keep = run.config.checkpoint.keep
  with checkpoint.open_manager(folder, keep=keep) as manager:
    state, record = _restore(manager, run)
    agreement.first(lambda: _begin(run, folder, facts, record["step"]))
    traced = profiling.traced(
      step,
      # Only process 0 is profiled: all processes do the same.
      steps=profile if agreement.is_first() else range(0),
      first=record["step"],
      block=parts.steps_per_call,
      folder=folder / "profile",
    )
    with _stops_written(folder, manager, facts, record):
      with (
        traced as step,
        _open_outputs(run, folder, record, wake) as (write, show),
        # Until this line there is no state to save: SIGINT ends the process.
        preemption.interruptible(run.terminated) as should_stop,
      ):
        record["spent"]["starting"] += time.monotonic() - run.started
        stack = train_loop.run_loop(
          _program(run, step, feed),
          state,
          members=[_member(run, folder, manager, record, write, show)],
          settings=_settings(run, facts, watch),
          should_stop=should_stop,
        )
      for error in stack.left.values():
        if not isinstance(error, train_loop.NoGain):
          raise error
      checkpoint.wait(manager)
      final, state = stack.program.final, stack.state
      used = _final_step(run, record)
      if used != record["step"]:
        del stack, state  # Two states may not fit in the memory.
        state = _restore_best(manager, run, used)
      (evaluation,) = final(state)
      return results.write_finished(
        folder,
        parts=parts,
        facts=facts,
        state=state,
        record=record,
        evaluation=evaluation,
        step=used,
      )


@contextlib.contextmanager
def without_state(action: str) -> Iterator[None]:
  """A context without a state to save: SIGTERM ends it immediately."""
  try:
    with preemption.ended_by([signal.SIGTERM]):
      yield
  except preemption.Stopped as stop:
    text = f"stopped while {action}: {stop}"
    raise train_loop.Preempted(text) from None


@contextlib.contextmanager
def _stops_written(
  folder: pathlib.Path,
  manager: checkpoint.Manager,
  facts: Mapping[str, Any],
  record: Mapping[str, Any],
) -> Iterator[None]:
  """Writes result.json if the run stops before its end."""
  write = functools.partial(
    results.write_stopped, folder, facts=facts, record=record
  )
  try:
    yield
  except (train_loop.Preempted, preemption.Stopped) as stop:
    text = str(stop) or "stopped after the last step, which is saved"
    write(status=f"preempted: {text}")
    raise train_loop.Preempted(text) from None
  except train_loop.Diverged as error:
    status = divergence.explain(manager, error)
    write(status=status)
    raise train_loop.Diverged(status) from error
  except train_loop.Ended as end:
    write(status=f"ended early: {end}")
    raise


def _restore(
  manager: checkpoint.Manager, run: Run
) -> tuple[TrainState, dict[str, Any]]:
  """The state and the record of the newest checkpoint, else initial ones."""
  fresh = train_loop.empty_record()
  restored = checkpoint.restore(
    manager,
    run.parts.template,
    check=functools.partial(trees.check_finite, what="its state"),
  )
  if restored is None:
    return initial_state.make_state(run.config, run.parts), fresh
  state, record = restored
  best, chosen = record.get("best"), run.parts.best
  if best and best["metric"] != (chosen[0] if chosen else ""):
    checkpoint.forget_scores(manager)
    record |= {"best": None, "waited": 0}
  return state, fresh | record


def _final_step(run: Run, record: Mapping[str, Any]) -> int:
  """The step of the checkpoint that is evaluated at the end."""
  restores = run.config.checkpoint.restore_best
  if restores and not record["best"]:
    _LOGGER.warning(
      "checkpoint.restore_best is True, and no evaluation has a finite %s, so "
      "the last step is evaluated",
      run.parts.best[0],
    )
  return results.final_step(record, restore_best=restores)


def _restore_best(
  manager: checkpoint.Manager, run: Run, step: int
) -> TrainState:
  """The state of the best checkpoint.

  Raises:
    checkpoint.CheckpointError: it is missing or damaged.
  """
  remedy = (
    "To finish with the last checkpoint, run the command again with "
    "--config.checkpoint.restore_best=False"
  )
  if step not in manager.all_steps():
    raise checkpoint.CheckpointError(
      f"the best checkpoint, {checkpoint.directory(manager)}/{step}, is "
      f"missing. {remedy}"
    )
  _LOGGER.info("the best checkpoint is restored: step %d", step)
  try:
    state, _ = checkpoint.restore_step(manager, step, run.parts.template)
  except checkpoint.CheckpointError as error:
    raise checkpoint.CheckpointError(f"{error}. {remedy}") from error
  return state


def _begin(
  run: Run, folder: pathlib.Path, facts: Mapping[str, Any], step: int
) -> None:
  """Records this start in the run's folder."""
  if step:
    _LOGGER.info("resuming from step %d of %s", step, folder)
  ago = time.monotonic() - run.started
  results.record_start(folder, run.parts.mesh, step=step, ago=ago)
  workdirs.write_result(folder, {**facts, "status": "running", "step": step})


def _program(
  run: Run, step: profiling.Step, feed: Callable[..., Any]
) -> train_loop.Program:
  """The computations of a single run."""
  measures, (_, name) = run.measures, results.final_split(run.parts)
  evaluate = run.evaluators.get(name, lambda state, keep: None)
  refresh = average_statistics.make_refresh(run.parts)

  def warm_up(state: TrainState) -> None:
    refresh(state, limit=1)
    evaluators.warm_up(run.evaluators, state)

  return train_loop.Program(
    step=step,
    feed=feed,
    measure=lambda state: [{k: f(state) for k, f in measures.items()}],
    final=lambda state: [evaluate(state, keep=predictions.MOST_NUMBERS)],
    not_finite=lambda state: [trees.not_finite(state)],
    warm_up=warm_up,
    refresh=refresh,
  )


def _member(
  run: Run,
  folder: pathlib.Path,
  manager: checkpoint.Manager,
  record: dict[str, Any],
  write: Callable[..., None],
  show: Callable[..., None],
) -> train_loop.Member:
  """The only member of the loop."""
  check_first = functools.partial(
    sanity.check_first_loss, run.config, run.parts
  )
  return train_loop.Member(
    record=record,
    schedule=run.parts.schedule,
    write=write,
    show=show,
    save=functools.partial(checkpoint.save, manager),
    wait=functools.partial(checkpoint.wait, manager),
    add_score=functools.partial(checkpoint.add_score, manager),
    check_first=check_first,
    best=run.parts.best,
    began=agreement.first(lambda: workdirs.began(folder)),
  )


def _settings(
  run: Run, facts: Mapping[str, Any], watch: Callable[..., str]
) -> train_loop.Settings:
  """The settings of the loop."""
  parts = run.parts
  peak = accelerators.peak_images_per_second(
    parts.mesh.devices.flat[0].device_kind,
    devices=parts.mesh.size,
    flops_per_image=facts["flops_per_image"],
    peak_flops=run.config.log.peak_flops,
  )

  def watch_all(measured):
    reasons = {member: watch(*each) for member, each in measured.items()}
    return {member: reason for member, reason in reasons.items() if reason}

  return train_loop.Settings(
    steps=parts.steps,
    batch_size=parts.batches["train"].batch_size,
    num_examples=parts.splits["train"].num_examples,
    peak=peak,
    effort=results.effort(parts),
    watch=watch_all,
    patience=run.config.train.patience,
  )


@contextlib.contextmanager
def _open_outputs(
  run: Run,
  folder: pathlib.Path,
  record: Mapping[str, Any],
  wake: Callable[[], None],
) -> Iterator[tuple[Callable[..., None], Callable[..., None]]]:
  """The functions `write` and `show` of the loop.

  Only process 0 writes and shows lines. The trackers read what it writes.
  """
  if not agreement.is_first():
    yield (lambda step, values: None,) * 2
    return
  first = record["step"]
  with (
    metrics_log.open_metrics(
      folder,
      first_step=first,
      evaluated=not record["unevaluated"],
      tensorboard=run.config.log.tensorboard
      or trackers.writes_events(run.config),
      written=wake,
    ) as write,
    progress.open_progress(
      first_step=first, total_steps=run.parts.steps.total
    ) as show,
  ):
    yield write, show
