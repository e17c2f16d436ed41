"""A whole run: from a config to a folder with a report."""

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from jaxvision import (
  analysis,
  assembly,
  checkpoint,
  data,
  distributed,
  features,
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
Config = configs.ConfigDict
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Parts:
  """What a config names, made; nothing is compiled or allocated yet."""

  config: Config
  splits: dict[str, data.Dataset]
  batches: dict[str, data.Batches]
  mesh: Mesh
  model: nn.Module
  image_shape: tuple[int, int, int]
  steps: assembly.Durations
  schedule: Callable[[int], Any]


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
    The content of WORKDIR/result.json.

  Raises:
    ValueError, FileNotFoundError, OSError: the config, the data or the workdir
      do not allow it; nothing has been trained.
    train_loop.Preempted: SIGTERM or SIGINT came; the state is saved.
    train_loop.Diverged: the loss is not finite; says what is kept.
    checkpoint.CheckpointError: a checkpoint could not be written or read.
  """
  startup.cache_compilations()
  with train_loop.stop_requested() as stopping:
    config = configs.load(recipe, overrides)
    splits = assembly.open_splits(config)
    if overfit:
      config, splits = assembly.overfit(config, splits, overfit)
    parts = _prepare(config, splits)
    folder = workdirs.claim(
      workdir,
      config=config.to_dict(),
      recipe=recipe,
      overrides=dict(overrides or {}),
    )
    return _train(parts, folder, stopping)


def _prepare(config: Config, splits: dict[str, data.Dataset]) -> _Parts:
  mesh = distributed.make_mesh()
  for train in (True, False):
    size = assembly.batch_size(config, train=train)
    key = "train.batch_size" if train else "evaluate.batch_size"
    distributed.check_batch_size(size, mesh, key=key)
  if config.train.steps_per_dispatch > 1 and config.data.placement != "device":
    raise ValueError(
      f"train.steps_per_dispatch {config.train.steps_per_dispatch} needs the "
      'data on the device: set data.placement to "device", or take 1 step'
    )
  batches = {
    role: assembly.make_batches(config, split, train=role == "train")
    for role, split in splits.items()
  }
  steps = assembly.durations(config, num_examples=splits["train"].num_examples)
  return _Parts(
    config=config,
    splits=splits,
    batches=batches,
    mesh=mesh,
    model=assembly.make_model(config, len(splits["train"].class_names)),
    image_shape=batches["train"].image_shape,
    steps=steps,
    schedule=assembly.make_schedule(config, steps),
  )


def _train(
  parts: _Parts, folder: pathlib.Path, stopping: Callable[[], bool]
) -> dict[str, Any]:
  optimizer, init, template = assembly.state_functions(
    parts.config, parts.model, parts.schedule, parts.image_shape, parts.mesh
  )
  step, feed, memory = _compile(parts, optimizer, template)
  result = _facts(parts, template.params, memory)
  _announce(parts, result)
  config = parts.config
  with checkpoint.open_manager(folder, keep=config.checkpoint.keep) as manager:
    restored = checkpoint.restore(manager, template)
    state, record = restored or (init(), train_loop.empty_record())
    first = int(state.step)
    if first:
      _LOGGER.info("going on from step %d of %s", first, folder)
    workdirs.add_environment(
      folder,
      step=first,
      devices=distributed.describe(parts.mesh),
      backend=jax.default_backend(),
    )
    workdirs.write_result(folder, result | {"status": "running"})
    evaluators = _make_evaluators(parts)
    try:
      with (
        tracking.open_metrics(
          folder, first_step=first, tensorboard=config.log.tensorboard
        ) as write,
        tracking.open_progress(
          first_step=first, total_steps=parts.steps.total
        ) as show,
      ):
        run = train_loop.Run(
          steps=parts.steps,
          batch_size=config.train.batch_size,
          num_examples=parts.splits["train"].num_examples,
          step=step,
          feed=feed,
          schedule=parts.schedule,
          evaluators={
            name: evaluate
            for name, evaluate in evaluators.items()
            if name.startswith("validation")
          },
          best=config.checkpoint.best if "validation" in evaluators else "",
          write=write,
          show=show,
          check_first=lambda loss: _check_first_loss(parts, loss),
        )
        state, record = train_loop.run_loop(
          run, state, record, manager, stopping
        )
    except train_loop.Preempted as stop:
      workdirs.write_result(folder, result | {"status": f"preempted: {stop}"})
      raise
    except train_loop.Diverged as error:
      raise _explain_divergence(folder, manager, result, error) from error
  return _finish(parts, folder, result, state, record, evaluators)


def _compile(
  parts: _Parts, optimizer, template: train_step.TrainState
) -> tuple[Callable[..., Any], Callable[..., Any], int | None]:
  """The compiled step, its feed of batches, and its memory in bytes."""
  step = train_step.make_train_step(
    assembly.make_task_loss(parts.config, parts.model),
    optimizer,
    seed=parts.config.seed,
    ema_decay=parts.config.ema.decay,
  )
  whole = distributed.replicated(parts.mesh)
  if parts.config.data.placement == "device":
    resident = parts.batches["train"].resident()
    constants = (jax.device_put(resident, whole),)
    steps, feed = train_step.scan_steps(step), _feed_indices(parts)
  else:
    constants = ()
    steps, feed = train_step.single_step(step), _feed_batches(parts)
  program = jax.jit(steps, donate_argnums=0, out_shardings=whole)
  _, batch = next(feed(0))
  compiled = program.lower(template, batch, *constants).compile()
  memory = assembly.memory_bytes(compiled)
  return lambda state, batch: compiled(state, batch, *constants), feed, memory


def _feed_batches(parts: _Parts) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step): the batches from there to the end, sent to the devices."""

  def feed(step: int):
    batches = parts.batches["train"].iterate(step, parts.steps.total)
    for number, batch in enumerate(batches, step + 1):
      yield number, distributed.put_batch(batch, parts.mesh)

  return feed


def _feed_indices(parts: _Parts) -> Callable[[int], Iterator[tuple[int, Tree]]]:
  """feed(step): indices (k, b) of the examples, which the devices hold."""
  block = parts.config.train.steps_per_dispatch
  rows = distributed.local_rows(parts.config.train.batch_size)

  def feed(step: int):
    for first in range(step, parts.steps.total, block):
      steps = range(first, first + block)
      indices = [parts.batches["train"].indices(s)[rows] for s in steps]
      stacked = np.stack(indices).astype(np.int32)
      yield first + block, distributed.put_batch(stacked, parts.mesh, axis=1)

  return feed


def _facts(parts: _Parts, params: Tree, memory: int | None) -> dict[str, Any]:
  """What result.json says of any run, however it ends."""
  return {
    "total_steps": parts.steps.total,
    "parameters": trees.count(params),
    "flops_per_image": features.flops_per_image(
      parts.model, image_shape=parts.image_shape
    ),
    "memory_bytes": memory,
    "image_shape": list(map(int, parts.image_shape)),
    "class_names": list(parts.splits["train"].class_names),
  }


def _announce(parts: _Parts, facts: Mapping[str, Any]) -> None:
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
    "%s: %s parameters, %s MFLOPs per image, on %s%s",
    config.model.name,
    f"{facts['parameters']:,}",
    f"{facts['flops_per_image'] / 1e6:,.1f}",
    distributed.describe(parts.mesh),
    f", about {memory / 2**20:,.0f} MiB each" if memory else "",
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


def _make_evaluators(
  parts: _Parts,
) -> dict[str, Callable[[train_step.TrainState], classification.Evaluation]]:
  """By name: "validation", "test", and "..._ema" where there is an average."""
  task_sums = assembly.make_task_sums(parts.config, parts.model)
  evaluators = {}
  for role, batches in parts.batches.items():
    if role != "train":
      evaluate = classification.make_evaluator(task_sums, batches, parts.mesh)
      evaluators[role] = lambda state, f=evaluate: f(state.variables)
      if parts.config.ema.decay:
        evaluators[f"{role}_ema"] = lambda state, f=evaluate: f(state.ema)
  return evaluators


def _check_first_loss(parts: _Parts, loss: float) -> None:
  """Warns where an untrained model does not have the loss of ignorance."""
  num_classes = len(parts.splits["train"].class_names)
  expected = assembly.untrained_loss(parts.config, num_classes)
  if not 0.5 * expected <= loss <= 2 * expected:
    _LOGGER.warning(
      "the first loss is %.4g, but a %s classifier that knows nothing of %d "
      "classes has %.4g. Larger: look at the normalisation (data.mean, "
      "data.std) and at the initial scale of the last layer. Smaller: the "
      "labels may be constant, or visible in the images.",
      loss,
      parts.config.loss.name,
      num_classes,
      expected,
    )


def _explain_divergence(
  folder: pathlib.Path,
  manager: checkpoint.Manager,
  facts: Mapping[str, Any],
  error: train_loop.Diverged,
) -> train_loop.Diverged:
  steps = manager.all_steps()
  kept = f"{manager.directory}/{max(steps)}" if steps else "none yet"
  message = (
    f"stopped at {error}. The last good checkpoint is kept: {kept}. Try a lower "
    "optimizer.learning_rate, a longer schedule.warmup or "
    "optimizer.gradient_clip=1.0, in a new workdir."
  )
  workdirs.write_result(folder, {**facts, "status": message})
  analysis.write_report(folder)
  return train_loop.Diverged(message)


def _finish(
  parts: _Parts,
  folder: pathlib.Path,
  facts: Mapping[str, Any],
  state: train_step.TrainState,
  record: Mapping[str, Any],
  evaluators: Mapping[str, Callable[..., classification.Evaluation]],
) -> dict[str, Any]:
  """Evaluates the final state, writes the results and the report."""
  role = "test" if "test" in parts.splits else "validation"
  name = f"{role}_ema" if parts.config.ema.decay else role
  final = None
  if name in evaluators:
    measured = evaluators[name](state)
    final = {"split": name, "metrics": measured.metrics}
    _write_evaluation(folder, measured, parts.splits[role])
  path, filters = features.first_layer(
    parts.model, params=state.params, image_shape=parts.image_shape
  )
  workdirs.write_arrays(folder / "first_layer.npz", name=path, filters=filters)
  result = {
    **facts,
    "status": "finished",
    "step": parts.steps.total,
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
