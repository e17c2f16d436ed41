"""A whole run: from a config to a folder with a report."""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from jaxvision import checkpoint, parallel, trees, user_code
from jaxvision.config import ConfigDict
from jaxvision.files import paths
from jaxvision.processes import agreement, cluster, preemption
from jaxvision.runs import metrics_log, progress
from jaxvision.runs import workdir as workdirs
from jaxvision.training import setup
from jaxvision.training.loop import (
  compilation,
  evaluators,
  profiling,
  results,
  train_loop,
)
from jaxvision.training.setup import (
  claim,
  data_record,
  extension,
  initial_state,
  sanity,
)
from jaxvision.training.step import TrainState
from jaxvision.xla import accelerators, cache

Tree = Any
_LOGGER = logging.getLogger(__name__)


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

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp"; None resumes the
      run in the folder with its own config.
    workdir: the run's folder; the same call resumes the run. All processes of
      a run share the folder.
    overrides: by dotted key, as {"optimizer.learning_rate": 0.1}.
    overfit: train on this many examples only, without augmentation and
      regularisation: a check that the model can memorise them.
    data_changed: "accept" resumes with data that differ from the first start.
    profile: the steps to trace, into WORKDIR/profile.
    watch: (step, steps in all, values of an evaluation) -> the reason to stop
      the run early, "" for none.
    claimed: the folder was given to this process by another authority, such as
      the storage of a sweep: see `workdir.held`.
    extend: the new total duration of the run in the folder, longer than
      before: "40 epochs". Without a recipe.
    extend_schedule: the schedule of an extended run: "stretch" or "constant",
      see `jaxvision.training.setup.extension`; "" means "stretch".
    copies: of the user's own code, in place of the files that a recipe names;
      copies in the folder take precedence.
    trust: run code in the folder that this account has never typed.

  Returns:
    The content of WORKDIR/result.json. A finished run does not change.

  Raises:
    ValueError, FileNotFoundError, OSError: the config, the data or the workdir
      do not allow it, or another process trains there; nothing was trained.
    roll_call.Missing: some processes of the run did not come.
    train_loop.Preempted: SIGTERM came, or SIGINT during the training; the
      state is saved.
    train_loop.Diverged: the loss is not finite; says what is kept.
    train_loop.Ended: `watch` has said so.
    checkpoint.CheckpointError: a checkpoint could not be written or read.
  """
  started = time.monotonic()
  cluster.start()
  cache.cache_compilations()
  workdir = pathlib.Path(workdir).expanduser()
  paths.check_plain(workdir, alone=jax.process_count() == 1)
  with (
    preemption.requested([signal.SIGTERM]) as terminated,
    contextlib.ExitStack() as held,
    user_code.trusting(trust),
  ):
    config = claim.load_config(recipe, workdir, overrides, copies, extend)
    overfit = overfit or claim.overfit(recipe, workdir)
    with _without_state("the data were opened"):
      opened = setup.open_splits(config)
    examples = opened["train"].num_examples
    config, extended = extension.extend(
      config,
      extend,
      schedule=extend_schedule,
      workdir=workdir,
      num_examples=examples,
    )
    claim.check_alike(config)
    run = _prepare(config, opened, overfit, terminated, started)
    lock = functools.partial(workdirs.held, workdir, claimed=claimed)
    agreement.first(lambda: held.enter_context(lock()))
    origin = {"recipe": recipe or "", "overrides": dict(overrides or {})}
    config = run.config.to_dict()
    claim.claim(
      workdir, config=config, **origin, overfit=overfit, extended=extended
    )
    result = _finished(workdir, run.parts.steps.total)
    if not result:
      data_record.check(workdir, opened, changed=data_changed)
      result = _fit(run, workdir, profile, watch)
  if overfit:
    sanity.judge_overfit(
      result["final"]["metrics"], overfit, learnt=run.parts.task.learnt
    )
  return result


@dataclasses.dataclass(frozen=True)
class _Run:
  """A run that is ready to be compiled.

  Attributes:
    config, parts: of the run.
    evaluators, measures: from `evaluators`.
    terminated: whether SIGTERM has arrived.
    started: the start of this process, seconds of `time.monotonic`.
  """

  config: ConfigDict
  parts: setup.Parts
  evaluators: evaluators.Evaluators
  measures: evaluators.Measures
  terminated: preemption.Stopping
  started: float


def _prepare(
  config: ConfigDict,
  splits: dict[str, Any],
  overfit: int,
  terminated: preemption.Stopping,
  started: float,
) -> _Run:
  """Makes the objects of a run."""
  if overfit:
    config, splits = sanity.overfit(config, splits, overfit)
  with _without_state("the data were opened"):
    parts = setup.prepare(config, splits)
  interruptible = functools.partial(
    preemption.until_stopped, stopping=terminated, signals=[signal.SIGTERM]
  )
  found = evaluators.make_evaluators(parts, interruptible=interruptible)
  measures = evaluators.make_measures(parts, found)
  return _Run(config, parts, found, measures, terminated, started)


def _finished(workdir: pathlib.Path, total: int) -> dict[str, Any]:
  """The results of a finished run; {} where the run is to be trained."""
  return agreement.first(lambda: results.read_finished(workdir, total=total))


@contextlib.contextmanager
def _without_state(action: str) -> Iterator[None]:
  """A long action before there is a state: SIGTERM ends it at once."""
  try:
    with preemption.ended_by([signal.SIGTERM]):
      yield
  except preemption.Stopped as stop:
    text = f"stopped while {action}: {stop}"
    raise train_loop.Preempted(text) from None


def _fit(
  run: _Run,
  folder: pathlib.Path,
  profile: range,
  watch: Callable[..., str],
) -> dict[str, Any]:
  """Compiles the step, restores or draws the state, and trains to the end."""
  parts = run.parts
  with _without_state("the step was compiled"):
    step, feed, memory = compilation.compile_step(parts)
  facts = results.describe(parts, memory)
  results.announce(parts, facts)
  keep = run.config.checkpoint.keep
  with checkpoint.open_manager(folder, keep=keep) as manager:
    state, record = _restore(manager, run)
    agreement.first(lambda: _begin(run, folder, facts, record["step"]))
    traced = profiling.traced(
      step,
      # Process 0 alone: all do the same.
      steps=profile if agreement.is_first() else range(0),
      first=record["step"],
      block=parts.steps_per_call,
      folder=folder / "profile",
    )
    with _stops_written(folder, manager, facts, record):
      with (
        traced as step,
        _open_outputs(run, folder, record) as (write, show),
        # There was no state until here: SIGINT ended the process at once.
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
        raise error
      checkpoint.wait(manager)
      (evaluation,) = stack.program.final(stack.state)
      return results.write_finished(
        folder,
        parts=parts,
        facts=facts,
        state=stack.state,
        record=record,
        evaluation=evaluation,
      )


@contextlib.contextmanager
def _stops_written(
  folder: pathlib.Path,
  manager: checkpoint.Manager,
  facts: Mapping[str, Any],
  record: Mapping[str, Any],
) -> Iterator[None]:
  """Writes result.json of a run that stops before its end."""
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
    status = results.explain_divergence(manager, error)
    write(status=status)
    raise train_loop.Diverged(status) from error
  except train_loop.Ended as end:
    write(status=f"ended early: {end}")
    raise


def _restore(
  manager: checkpoint.Manager, run: _Run
) -> tuple[TrainState, dict[str, Any]]:
  """The newest state and its record, or those before the first step."""
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
    record["best"] = None
  return state, fresh | record


def _begin(
  run: _Run, folder: pathlib.Path, facts: Mapping[str, Any], step: int
) -> None:
  """Notes this start in the folder."""
  if step:
    _LOGGER.info("resuming from step %d of %s", step, folder)
  workdirs.add_environment(
    folder,
    step=step,
    devices=parallel.describe(run.parts.mesh),
    backend=jax.default_backend(),
    ago=time.monotonic() - run.started,
  )
  workdirs.write_result(folder, {**facts, "status": "running", "step": step})


def _program(
  run: _Run, step: profiling.Step, feed: Callable[..., Any]
) -> train_loop.Program:
  """The computations of a single run."""
  measures, (_, name) = run.measures, results.final_split(run.parts)
  evaluate = run.evaluators.get(name, lambda state: None)
  return train_loop.Program(
    step=step,
    feed=feed,
    measure=lambda state: [{k: f(state) for k, f in measures.items()}],
    final=lambda state: [evaluate(state)],
    not_finite=lambda state: [trees.not_finite(state)],
    warm_up=functools.partial(evaluators.warm_up, run.evaluators),
  )


def _member(
  run: _Run,
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
  run: _Run, facts: Mapping[str, Any], watch: Callable[..., str]
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
    watch=watch_all,
  )


@contextlib.contextmanager
def _open_outputs(
  run: _Run, folder: pathlib.Path, record: Mapping[str, Any]
) -> Iterator[tuple[Callable[..., None], Callable[..., None]]]:
  """write and show of the loop; only process 0 writes and shows lines."""
  if not agreement.is_first():
    yield (lambda step, values: None,) * 2
    return
  first = record["step"]
  with (
    metrics_log.open_metrics(
      folder,
      first_step=first,
      evaluated=not record["unevaluated"],
      tensorboard=run.config.log.tensorboard,
    ) as write,
    progress.open_progress(
      first_step=first, total_steps=run.parts.steps.total
    ) as show,
  ):
    yield write, show
