"""A whole run: from a config to a folder with a report."""

import contextlib
import functools
import logging
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from jaxvision import checkpoint, parallel, summary, trees, user_code
from jaxvision.files import paths
from jaxvision.processes import agreement, cluster, preemption
from jaxvision.runs import metrics_log, progress
from jaxvision.runs import workdir as workdirs
from jaxvision.training.loop import (
  compilation,
  evaluators,
  profiling,
  results,
  train_loop,
)
from jaxvision.training.setup import (
  assembly,
  claim,
  data_record,
  extension,
  initial_state,
  sanity,
)
from jaxvision.training.step import train_step
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
  """Trains what a recipe says, or goes on with it where it was stopped.

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp"; None goes on with
      the run in the folder, by its own config.
    workdir: the run's folder; the same call goes on with it. All processes of
      a run share it.
    overrides: by dotted key, as {"optimizer.learning_rate": 0.1}.
    overfit: train on so many examples only, without augmentation and
      regularisation, to see whether the model can learn them by heart.
    data_changed: "accept" goes on with data other than the run began with.
    profile: the steps that are traced, into WORKDIR/profile.
    watch: is told each evaluation, and may end the run: `train_loop.Run.watch`.
    claimed: the folder belongs to this process by another authority, such as
      the storage of a sweep: see `workdir.held`.
    extend: how long the run in the folder shall last in all, longer than
      before: "40 epochs". Without a recipe.
    extend_schedule: what the schedule then does: "stretch" or "constant", see
      `jaxvision.training.setup.extension`; "" is "stretch".
    copies: of the user's own code, in place of the files that a recipe names;
      those in the folder come before them.
    trust: run code in the folder that this account has never typed.

  Returns:
    The content of WORKDIR/result.json. A finished run is not touched.

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
    splits = opened = _open_splits(config)
    config, extended = extension.extend(
      config,
      extend,
      schedule=extend_schedule,
      workdir=workdir,
      num_examples=splits["train"].num_examples,
    )
    claim.check_alike(config)
    if overfit:
      config, splits = sanity.overfit(config, splits, overfit)
    with _nothing_to_save("the data were opened"):
      parts = assembly.prepare(config, splits)
    measured = evaluators.make_evaluators(
      parts,
      watched=functools.partial(
        preemption.until_stopped, stopping=terminated, signals=[signal.SIGTERM]
      ),
    )
    measures = evaluators.make_measures(parts, measured)
    agreement.first(
      lambda: held.enter_context(workdirs.held(workdir, claimed=claimed))
    )
    folder = claim.claim(
      workdir,
      config=config.to_dict(),
      recipe=recipe or "",
      overrides=dict(overrides or {}),
      overfit=overfit,
      extended=extended,
    )
    result = agreement.first(
      lambda: results.read_finished(folder, total=parts.steps.total)
    )
    if not result:
      data_record.check(folder, opened, changed=data_changed)
      result = _train(
        parts,
        folder,
        measured,
        measures,
        profile=profile,
        watch=watch,
        terminated=terminated,
        started=started,
      )
  if overfit:
    sanity.judge_overfit(result["final"]["metrics"], overfit)
  return result


def _open_splits(config: Any) -> dict[str, Any]:
  with _nothing_to_save("the data were opened"):
    return assembly.open_splits(config)


@contextlib.contextmanager
def _nothing_to_save(what: str) -> Iterator[None]:
  """What may take long, such as to read: SIGTERM does not wait for its end."""
  try:
    with preemption.ended_by([signal.SIGTERM]):
      yield
  except preemption.Stopped as stop:
    text = f"stopped while {what}: {stop}"
    raise train_loop.Preempted(text) from None


def _train(
  parts: assembly.Parts,
  folder: pathlib.Path,
  measured: evaluators.Evaluators,
  measures: evaluators.Measures,
  *,
  profile: range,
  watch: Callable[..., str],
  terminated: preemption.Stopping,
  started: float,
) -> dict[str, Any]:
  with _nothing_to_save("the step was compiled"):
    step, feed, memory = compilation.compile_step(parts)
  facts = results.describe(parts, memory)
  results.announce(parts, facts)
  keep = parts.config.checkpoint.keep
  with checkpoint.open_manager(folder, keep=keep) as manager:
    state, record = _restore(manager, parts)
    agreement.first(
      lambda: _begin(parts, folder, facts, record["step"], started)
    )
    try:
      with (
        profiling.traced(
          step,
          # Process 0 alone: they all do the same.
          steps=profile if agreement.is_first() else range(0),
          first=record["step"],
          block=parts.config.train.steps_per_dispatch,
          folder=folder / "profile",
        ) as step,
        _open_loop(
          parts, folder, measured, measures, step, feed, record, watch
        ) as run,
        # Until here nothing was to be saved: SIGINT ended it at once.
        preemption.interruptible(terminated) as should_stop,
      ):
        record["spent"]["starting"] += time.monotonic() - started
        state = train_loop.run_loop(run, state, record, manager, should_stop)
      checkpoint.wait(manager)
      return results.write_finished(
        folder,
        parts=parts,
        facts=facts,
        state=state,
        record=record,
        measured=measured,
      )
    except (train_loop.Preempted, preemption.Stopped) as stop:
      stop = train_loop.Preempted(
        str(stop) or "stopped after the last step, which is saved"
      )
      status = f"preempted: {stop}"
      results.write_stopped(folder, facts=facts, record=record, status=status)
      raise stop from None
    except train_loop.Diverged as error:
      status = results.explain_divergence(manager, error)
      results.write_stopped(folder, facts=facts, record=record, status=status)
      raise train_loop.Diverged(status) from error
    except train_loop.Ended as end:
      status = f"ended early: {end}"
      results.write_stopped(folder, facts=facts, record=record, status=status)
      raise


def _restore(
  manager: checkpoint.Manager, parts: assembly.Parts
) -> tuple[train_step.TrainState, dict[str, Any]]:
  """The newest state and its record, or those before the first step."""
  fresh = train_loop.empty_record()
  restored = checkpoint.restore(
    manager,
    parts.template,
    check=functools.partial(trees.check_finite, what="its state"),
  )
  if restored is None:
    return initial_state.make_state(parts), fresh
  state, record = restored
  best, metric = record.get("best"), parts.config.checkpoint.best
  if best and best["metric"] != metric:
    checkpoint.forget_scores(manager)
    record["best"] = None
  return state, fresh | record


def _begin(
  parts: assembly.Parts,
  folder: pathlib.Path,
  facts: Mapping,
  step: int,
  started: float,
) -> None:
  if step:
    _LOGGER.info("going on from step %d of %s", step, folder)
  workdirs.add_environment(
    folder,
    step=step,
    devices=parallel.describe(parts.mesh),
    backend=jax.default_backend(),
    ago=time.monotonic() - started,
  )
  workdirs.write_result(folder, {**facts, "status": "running", "step": step})


@contextlib.contextmanager
def _open_loop(
  parts: assembly.Parts,
  folder: pathlib.Path,
  measured: evaluators.Evaluators,
  measures: evaluators.Measures,
  step: profiling.Step,
  feed: Callable[..., Any],
  record: Mapping[str, Any],
  watch: Callable[..., str],
) -> Iterator[train_loop.Run]:
  """The loop's parts, with the files and the screen it writes to open."""
  config = parts.config
  with _open_outputs(parts, folder, record) as (write, show):
    yield train_loop.Run(
      steps=parts.steps,
      batch_size=config.train.batch_size,
      num_examples=parts.splits["train"].num_examples,
      step=step,
      feed=feed,
      schedule=parts.schedule,
      measures=measures,
      best=config.checkpoint.best if measures else "",
      write=write,
      show=show,
      check_first=lambda loss: sanity.check_first_loss(parts, loss),
      warm_up=lambda state: evaluators.warm_up(measured, state),
      began=agreement.first(lambda: workdirs.began(folder)),
      peak=_peak(parts),
      watch=watch,
    )


@contextlib.contextmanager
def _open_outputs(
  parts: assembly.Parts, folder: pathlib.Path, record: Mapping[str, Any]
) -> Iterator[tuple[Callable[..., None], Callable[..., None]]]:
  """Where lines are written and shown: both are process 0's alone."""
  if not agreement.is_first():
    yield (lambda step, values: None,) * 2
    return
  first = record["step"]
  with (
    metrics_log.open_metrics(
      folder,
      first_step=first,
      evaluated=not record["unevaluated"],
      tensorboard=parts.config.log.tensorboard,
    ) as write,
    progress.open_progress(
      first_step=first, total_steps=parts.steps.total
    ) as show,
  ):
    yield write, show


def _peak(parts: assembly.Parts) -> float | None:
  return accelerators.peak_images_per_second(
    parts.mesh.devices.flat[0].device_kind,
    devices=parts.mesh.size,
    flops_per_image=summary.flops_per_image(
      parts.model, image_shape=parts.image_shape
    ),
    peak_flops=parts.config.log.peak_flops,
  )
