"""The checks of a config that run before the first compilation."""

import functools
import math
import os
from collections.abc import Mapping
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import data, lookup, losses, parallel, tasks, user_code
from jaxvision.config import ConfigDict
from jaxvision.evaluation import suites
from jaxvision.training.setup import from_config, inputs, precision
from jaxvision.training.step import image_sizes, remat

Tree = Any
PLACEMENTS = ("host", "device")
_DEFAULT_BEST = "validation/top1"
# The metrics of the log that are neither evaluations nor sums of the task.
_LOGGED = (
  *("gradient_norm", "loss_scale", "learning_rate", "epoch", "seconds"),
  *("images_per_second", "step_seconds_p50", "step_seconds_p95"),
  *("data_wait", "saving_seconds", "goodput", "mfu"),
)


def check(config: ConfigDict, mesh: Mesh) -> None:
  """Checks batch sizes, placement, rematerialisation and precision.

  Raises:
    ValueError: the mesh cannot divide a batch, or a value is invalid.
  """
  train = config.train
  parallel.check_batch_size(
    train.batch_size, mesh, key="train.batch_size", parts=train.accumulate
  )
  if size := config.evaluate.batch_size:
    parallel.check_batch_size(size, mesh, key="evaluate.batch_size")
  placement, block = config.data.placement, train.steps_per_dispatch
  if placement not in PLACEMENTS:
    raise ValueError(lookup.unknown("data.placement", placement, PLACEMENTS))
  if block > 1 and placement != "device":
    raise ValueError(
      f"train.steps_per_dispatch {block} needs the data on the device: set "
      'data.placement to "device", or take 1 step'
    )
  validated = "validation" in inputs.roles(config)
  if train.patience and not (validated and config.checkpoint.best):
    raise ValueError(
      f"train.patience {train.patience} counts evaluations without a better "
      "checkpoint.best: set data.validation and checkpoint.best, or "
      "train.patience to 0"
    )
  restores = config.checkpoint.restore_best
  if restores and not (validated and config.checkpoint.best):
    raise ValueError(
      "checkpoint.restore_best is True, and without data.validation and "
      "checkpoint.best no checkpoint is the best: set both, or "
      "checkpoint.restore_best to False"
    )
  if config.ema.decay and config.ema.start:
    raise ValueError(
      f"ema.decay is {config.ema.decay} and ema.start is {config.ema.start!r}; "
      "a run has one average: set ema.decay to 0 for the equal average, or "
      'ema.start to "" for the exponential one'
    )
  remat.check(train.remat)
  precision.check(config)


def check_logits(
  config: ConfigDict,
  model: nn.Module,
  variables: Any,
  image_shape: tuple[int, int, int],
) -> None:
  """Raises ValueError unless a model returns logits (b, k) for images.

  Args:
    config: of the run.
    model: of the config.
    variables: of the model, or their shapes.
    image_shape: (h, w, c).
  """
  images = jax.ShapeDtypeStruct((2, *image_shape), np.float32)
  apply = functools.partial(model.apply, train=False)
  found = jax.eval_shape(apply, variables, images)
  if getattr(found, "shape", None) != (2, model.num_classes):
    shown = getattr(found, "shape", type(found).__name__)
    raise ValueError(
      f"model {user_code.as_written(config.model.name)} returned {shown} for "
      f"2 images; expected logits of shape {(2, model.num_classes)}"
    )


def check_labels(
  config: ConfigDict, task: tasks.Task, dataset: data.Dataset
) -> None:
  """Raises ValueError unless the task and the loss fit the labels of the data.

  Args:
    config: of the run.
    task: of the config.
    dataset: the training split.
  """
  if dataset.label_kind == "none":
    if not task.unlabelled:
      raise ValueError(
        f"task.name is {user_code.as_written(config.task.name)!r}, which needs "
        f"labels, and {dataset.name} has none; set data.labels or task.name"
      )
    return
  _, kind = task.batch.get("label", ((), None))
  found = data.LABEL_TYPES[dataset.label_kind]
  if kind is not None and np.dtype(kind) != np.dtype(found):
    wanted = [k for k, v in data.LABEL_TYPES.items() if v == np.dtype(kind)]
    raise ValueError(
      f"task.name is {user_code.as_written(config.task.name)!r}, whose labels "
      f"are {wanted[0] if wanted else kind!r}, and data.labels is "
      f"{dataset.label_kind!r}; set data.labels or task.name"
    )
  losses.check_labels(config.loss.name, dataset.label_kind)


def check_learnt(config: ConfigDict, task: tasks.Task) -> None:
  """Raises ValueError if a task has no measure of memorised examples."""
  if task.learnt is None:
    raise ValueError(
      f"the task {user_code.as_written(config.task.name)} has no metric that "
      "shows whether examples are memorised; train without --overfit"
    )


def check_texts(task: tasks.Task, splits: Mapping[str, data.Dataset]) -> None:
  """Raises ValueError for a text of an evaluated split that is not encoded.

  Without this check, such a text ends the training at the first evaluation.

  Args:
    task: of the config.
    splits: by role.
  """
  for role, split in splits.items():
    for name, encode in task.encode.items():
      if role == "train":
        continue
      texts = data.read_texts(split, name.partition("/")[0])
      for number, text in enumerate(texts):
        try:
          encode(text)
        except ValueError as error:
          (example,) = split.ids([number])
          raise ValueError(f"data.{role}, {example}: {error}") from error


def check_turns(config: ConfigDict, task: tasks.Task, mesh: Mesh) -> None:
  """Raises ValueError unless the updates of a step can share the batch.

  Image sizes and a loss scale belong to a step of one update.
  """
  if task.turns and config.train.image_sizes:
    raise ValueError(
      "train.image_sizes is set, and this task generates images of the size of "
      "its data: set train.image_sizes to (), and the size in "
      "data.train_transforms"
    )
  if task.turns and precision.is_scaled(config):
    raise ValueError(
      "precision.compute is float16, and this task has several losses, which "
      "would need a scale each: set precision.compute to bfloat16"
    )
  count = sum(updates for _, updates in task.turns)
  size, parts = config.train.batch_size, config.train.accumulate
  least = count * parts * mesh.size
  if count and size % least:
    turns = ", ".join(
      f"{updates} of the {name}" for name, updates in task.turns
    )
    below = size // least * least
    sizes = [each for each in (below, below + least) if each]
    raise ValueError(
      f"train.batch_size {size} does not divide over the updates of a step "
      f"({turns}), {parts} parts (train.accumulate) and {mesh.size} devices; "
      f"use {' or '.join(map(str, sizes))}"
    )


def check_layer_decay(config: ConfigDict, task: tasks.Task) -> None:
  """Raises ValueError if the layers of other networks would be unknown."""
  if config.optimizer.layer_decay != 1 and task.model_at:
    raise ValueError(
      f"optimizer.layer_decay is {config.optimizer.layer_decay}, but the task "
      f"{user_code.as_written(config.task.name)} trains another network beside "
      "the model; use optimizer.learning_rate_rules"
    )


def check_masks(config: ConfigDict, batches: data.Batches) -> None:
  """Raises ValueError if a transform on the device would leave masks behind.

  Args:
    config: of the run.
    batches: of the training, with the fields of the task.
  """
  fields = batches.examples.visible
  names = [each.name for each in fields if each.kind == "mask"]
  moving = list(filter(data.moves_pixels, config.data.device_transforms))
  if names and moving:
    raise ValueError(
      f"data.device_transforms has {moving[0]!r}, which does not move the "
      f"{names[0]} with its image; write a transform of the host, in "
      "data.train_transforms"
    )


def best(config: ConfigDict, task: tasks.Task) -> tuple[str, int] | None:
  """The metric of checkpoint.best, and 1 if larger is better, else -1.

  The default of the key is a metric of classification. If a task does not have
  this metric, the default means the first metric of `task.best`.

  Raises:
    ValueError: the metric is not computed, or cannot select a checkpoint.
  """
  known = {
    f"{role}/{name}": sign
    for role in _roles(config)
    for name, sign in task.best.items()
  }
  name = config.checkpoint.best
  if name == _DEFAULT_BEST and name not in known:
    name = f"validation/{next(iter(task.best))}"
  if name and name not in known:
    raise ValueError(
      lookup.unknown("metric for the best checkpoint", name, known)
      + "; correct checkpoint.best (validation_ema needs ema.decay or "
      "ema.start)"
    )
  return (name, known[name]) if name else None


def check_measured(name: str, config: ConfigDict, task: tasks.Task) -> None:
  """Raises ValueError unless a run writes `name` into its metrics.jsonl."""
  validated = "validation" in inputs.roles(config)
  validation = _roles(config) if validated else []
  known = {*_LOGGED, *(f"train/{each}" for each in task.logged)}
  for role in validation:
    known |= {f"{role}/{each}" for each in task.measured}
  # The last role is the average if the run has one.
  named = [user_code.as_written(each) for each in config.evaluate.probes]
  named += map(suites.name_of, config.evaluate.suites)
  others = [f"{role}/{each}/" for role in validation[-1:] for each in named]
  if name not in known and not name.startswith(tuple(others)):
    raise ValueError(
      lookup.unknown("metric", name, [*known, *(f"{p}..." for p in others)])
      + " (validation needs data.validation; validation_ema also needs "
      "ema.decay or ema.start)"
    )


def _roles(config: ConfigDict) -> list[str]:
  averaged = from_config.is_averaged(config)
  return ["validation", "validation_ema"][: 2 if averaged else 1]


def check_evaluated_size(
  model: nn.Module,
  variables: Tree,
  *,
  trained: tuple[int, int, int],
  evaluated: tuple[int, int, int],
  role: str,
) -> None:
  """Raises ValueError if a model cannot process the evaluation images.

  Convolutional networks with global average pooling, and transformers without
  learned positions, accept images of any size. Other models accept one size.

  Args:
    model: of the run.
    variables: of the model, or their shapes.
    trained: (h, w, c) of the training images.
    evaluated: (h, w, c) of the images of the split.
    role: of the split, "validation" or "test".
  """
  if trained == evaluated:
    return
  images = jax.ShapeDtypeStruct((1, *evaluated), np.float32)
  apply = functools.partial(model.apply, train=False)
  try:
    jax.eval_shape(apply, variables, images)
  except (flax.errors.FlaxError, TypeError, ValueError) as error:
    size, other = ("x".join(map(str, each)) for each in (evaluated, trained))
    raise ValueError(
      f"the images of data.{role} are {size}, those of data.train {other}, and "
      f"{type(model).__name__} accepts only the size of its training images; "
      "let data.eval_transforms end with the size of data.train_transforms "
      f"({str(error).splitlines()[0]})"
    ) from error


def check_image_sizes(
  model: nn.Module,
  variables: Tree,
  sizes: image_sizes.Sizes,
  *,
  trained: tuple[int, int, int],
) -> None:
  """Raises ValueError if the images cannot have the sizes of the config.

  Args:
    model: of the run.
    variables: of the model, or their shapes.
    sizes: (step, shorter side) pairs; () is right for all models.
    trained: (h, w, c) of the images before they are reduced.
  """
  for _, side in sizes:
    if side > min(trained[:2]):
      raise ValueError(
        f"train.image_sizes has {side} pixels, and the images of "
        f"data.train_transforms are {trained[0]}x{trained[1]}: sizes are "
        "reduced, not enlarged; change one of the two keys"
      )
    shape = image_sizes.reduced_shape(trained, side)
    images = jax.ShapeDtypeStruct((1, *shape), np.float32)
    apply = functools.partial(model.apply, train=False)
    try:
      jax.eval_shape(apply, variables, images)
    except (flax.errors.FlaxError, TypeError, ValueError) as error:
      raise ValueError(
        f"train.image_sizes has {side} pixels, and {type(model).__name__} "
        f"accepts no images of {shape[0]}x{shape[1]} with the parameters for "
        f"{trained[0]}x{trained[1]}: set train.image_sizes to (), or choose a "
        "model with global average pooling or with positions that are not "
        f"learned ({str(error).splitlines()[0]})"
      ) from error


def check_memory(state: Tree, mesh: Mesh) -> None:
  """Raises ValueError if the state alone exceeds the memory of the devices.

  Args:
    state: arrays or their shapes, with shardings, and those of the constants
      of the task.
    mesh: of devices that are attached.
  """
  device = mesh.local_devices[0]
  limit = (device.memory_stats() or {}).get("bytes_limit")
  if limit is None and device.platform == "cpu":
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = pages // len(mesh.local_devices)
  needed = sum(
    math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf in jax.tree.leaves(state)
  )
  if limit is not None and needed > limit:
    raise ValueError(
      "the parameters, the optimizer state, the moving average and the "
      "constants of the task need "
      f"{needed / 2**30:,.1f} GiB on each device, which has "
      f"{limit / 2**30:,.1f} GiB; use a smaller model, or shard the state "
      "with mesh.fsdp"
    )
