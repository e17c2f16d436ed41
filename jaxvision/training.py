"""A whole run: from a config to a folder with a report."""

import contextlib
import logging
import pathlib
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxvision import (
  analysis,
  assembly,
  checkpoint,
  data,
  dispatch,
  distributed,
  evaluators,
  features,
  sanity,
  start,
  startup,
  tracking,
  train_loop,
  train_step,
  trees,
)
from jaxvision import config as configs
from jaxvision import workdir as workdirs
from jaxvision.evaluation import classification

Tree = Any
_LOGGER = logging.getLogger(__name__)


def train(
  recipe: str,
  *,
  workdir: str | pathlib.Path,
  overrides: Mapping[str, Any] | None = None,
  overfit: int = 0,
) -> dict[str, Any]:
  """Trains what a recipe says, or goes on with it where it was stopped.

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp".
    workdir: the run's folder; the same call goes on with it.
    overrides: by dotted key, as {"optimizer.learning_rate": 0.1}.
    overfit: train on so many examples only, without augmentation and
      regularisation, to see whether the model can learn them by heart.

  Returns:
    The content of WORKDIR/result.json. A finished run is not touched.

  Raises:
    ValueError, FileNotFoundError, OSError: the config, the data or the workdir
      do not allow it; nothing has been trained.
    train_loop.Preempted: SIGTERM came, or SIGINT during the training; the
      state is saved.
    train_loop.Diverged: the loss is not finite; says what is kept.
    checkpoint.CheckpointError: a checkpoint could not be written or read.
  """
  startup.cache_compilations()
  with train_loop.stop_requested([signal.SIGTERM]) as terminated:
    config = start.with_implied_options(configs.load(recipe, overrides))
    splits = assembly.open_splits(config)
    if overfit:
      config, splits = sanity.overfit(config, splits, overfit)
    parts = assembly.prepare(config, splits)
    measured = evaluators.make_evaluators(parts)
    measures = evaluators.make_measures(parts, measured)
    folder = workdirs.claim(
      workdir,
      config=config.to_dict(),
      recipe=recipe,
      overrides=dict(overrides or {}),
      overfit=overfit,
    )
    result = workdirs.read_result(folder)
    if result.get("status") == "finished":
      _say_finished(folder)
    else:
      result = _train(parts, folder, measured, measures, terminated)
  if overfit:
    sanity.judge_overfit(result["final"]["metrics"], overfit)
  return result


def _say_finished(folder: pathlib.Path) -> None:
  _LOGGER.info(
    "%s is finished already: nothing to train. Remove it, or give another "
    "workdir, to train again.",
    folder,
  )
  if not (folder / "report.html").exists():
    analysis.write_report(folder)


def _train(
  parts: assembly.Parts,
  folder: pathlib.Path,
  measured: evaluators.Evaluators,
  measures: evaluators.Measures,
  terminated: Callable[[], bool],
) -> dict[str, Any]:
  step, feed, memory = dispatch.compile_step(parts)
  facts = _facts(parts, memory)
  _announce(parts, facts)
  keep = parts.config.checkpoint.keep
  with checkpoint.open_manager(folder, keep=keep) as manager:
    restored = checkpoint.restore(manager, parts.template)
    state, record = restored or (
      start.make_state(parts),
      train_loop.empty_record(),
    )
    _begin(parts, folder, facts, int(state.step))
    with _open_loop(parts, folder, measures, step, feed, record) as run:
      try:
        # Until here nothing was to be saved: SIGINT ended it at once.
        with train_loop.stop_requested([signal.SIGINT]) as interrupted:
          state = train_loop.run_loop(
            run, state, record, manager, lambda: terminated() or interrupted()
          )
      except train_loop.Preempted as stop:
        _write_stopped(folder, facts, record, f"preempted: {stop}")
        raise
      except train_loop.Diverged as error:
        message = _explain_divergence(manager, error)
        _write_stopped(folder, facts, record, message)
        raise train_loop.Diverged(message) from error
  return _finish(parts, folder, facts, state, record, measured)


def _begin(
  parts: assembly.Parts, folder: pathlib.Path, facts: Mapping, step: int
) -> None:
  if step:
    _LOGGER.info("going on from step %d of %s", step, folder)
  workdirs.add_environment(
    folder,
    step=step,
    devices=distributed.describe(parts.mesh),
    backend=jax.default_backend(),
  )
  workdirs.write_result(folder, {**facts, "status": "running", "step": step})


@contextlib.contextmanager
def _open_loop(
  parts: assembly.Parts,
  folder: pathlib.Path,
  measures: evaluators.Measures,
  step: Callable[..., Any],
  feed: Callable[..., Any],
  record: Mapping[str, Any],
) -> Iterator[train_loop.Run]:
  """The loop's parts, with the files and the screen it writes to open."""
  config, first = parts.config, record["step"]
  with (
    tracking.open_metrics(
      folder, first_step=first, tensorboard=config.log.tensorboard
    ) as write,
    tracking.open_progress(
      first_step=first, total_steps=parts.steps.total
    ) as show,
  ):
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
    )


def _facts(parts: assembly.Parts, memory: int | None) -> dict[str, Any]:
  """What result.json says of any run, however it ends."""
  return {
    "total_steps": parts.steps.total,
    "parameters": trees.count(parts.template.params),
    "flops_per_image": features.flops_per_image(
      parts.model, image_shape=parts.image_shape
    ),
    "memory_bytes": memory,
    "image_shape": list(map(int, parts.image_shape)),
    "class_names": list(parts.splits["train"].class_names),
  }


def _announce(parts: assembly.Parts, facts: Mapping[str, Any]) -> None:
  config = parts.config
  idle = distributed.idle_accelerators()
  if idle:
    _LOGGER.warning(
      "RUNNING ON THE CPU although this machine has an accelerator (%s): jax "
      "was installed without support for it. Install jax[cuda13] or jax[tpu], "
      "or set JAX_PLATFORMS=cpu if the CPU is meant.",
      ", ".join(idle),
    )
  sizes = [f"{s.num_examples:,} {role}" for role, s in parts.splits.items()]
  memory = facts["memory_bytes"]
  _LOGGER.info(
    "%s: %s parameters, %.3g MFLOPs per image, on %s%s",
    config.model.name,
    f"{facts['parameters']:,}",
    facts["flops_per_image"] / 1e6,
    distributed.describe(parts.mesh),
    f", the step takes {memory / 2**20:,.1f} MiB of each" if memory else "",
  )
  _LOGGER.info(
    "%s: %s images %s of %d classes; %d steps of %d images",
    config.data.name,
    " + ".join(sizes),
    "x".join(map(str, parts.image_shape)),
    len(facts["class_names"]),
    parts.steps.total,
    config.train.batch_size,
  )


def _explain_divergence(
  manager: checkpoint.Manager, error: train_loop.Diverged
) -> str:
  with contextlib.suppress(checkpoint.CheckpointError):
    checkpoint.wait(manager)
  steps = manager.all_steps(read=True)
  kept = f"{manager.directory}/{max(steps)}" if steps else "none yet"
  return (
    f"stopped at {error}. The last good checkpoint is kept: {kept}. Try a "
    "lower optimizer.learning_rate, a longer schedule.warmup or "
    "optimizer.gradient_clip=1.0, in a new workdir."
  )


def _write_stopped(
  folder: pathlib.Path, facts: Mapping, record: Mapping, status: str
) -> None:
  """The results of a run that did not reach its end."""
  result = {
    **facts,
    "status": status,
    "step": record["step"],
    "seconds": record["seconds"],
    "best": record["best"],
  }
  workdirs.write_result(folder, result)
  analysis.write_report(folder)


def _finish(
  parts: assembly.Parts,
  folder: pathlib.Path,
  facts: Mapping[str, Any],
  state: train_step.TrainState,
  record: Mapping[str, Any],
  measured: evaluators.Evaluators,
) -> dict[str, Any]:
  """Evaluates the final state, writes the results and the report."""
  role = "test" if "test" in parts.splits else "validation"
  name = f"{role}_ema" if parts.config.ema.decay else role
  final = None
  if name in measured:
    evaluation = measured[name](state)
    final = {"split": name, "metrics": evaluation.metrics}
    _write_evaluation(folder, evaluation, parts.splits[role])
  path, filters = features.first_layer(
    parts.model, params=state.params, image_shape=parts.image_shape
  )
  workdirs.write_arrays(folder / "first_layer.npz", name=path, filters=filters)
  result = {
    **facts,
    "status": "finished",
    "step": record["step"],
    "seconds": record["seconds"],
    "best": record["best"],
    "final": final,
    "fingerprint": checkpoint.fingerprint(state),
    "checkpoint": f"checkpoints/{parts.steps.total}",
  }
  workdirs.write_result(folder, result)
  analysis.write_report(folder)
  return result


def _write_evaluation(
  folder: pathlib.Path,
  measured: classification.Evaluation,
  split: data.Dataset,
) -> None:
  wrong = measured.mistakes
  workdirs.write_arrays(
    folder / "evaluation.npz",
    confusion=measured.sums["confusion"],
    mistake_images=np.asarray([m.image for m in wrong], np.uint8),
    mistake_labels=np.asarray([m.label for m in wrong], np.int64),
    mistake_predictions=np.asarray([m.prediction for m in wrong], np.int64),
    mistake_confidences=np.asarray([m.confidence for m in wrong], np.float32),
    mistake_ids=np.asarray(split.ids([m.position for m in wrong]), np.str_),
  )
