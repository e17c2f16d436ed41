"""Makes what a config names: the splits, the model, the loss, the optimizer.

Everything here fails early and in words: each function reads its part of the
config, and what it cannot read is an error before anything is compiled.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import config_dict

from jaxvision import config as configs
from jaxvision import (
  data,
  distributed,
  losses,
  models,
  optimizers,
  schedules,
  tasks,
  train_step,
)

_OVERFIT = {
  "loss.l1": 0.0,
  "loss.l2": 0.0,
  "optimizer.weight_decay": 0.0,
  "optimizer.sam_radius": 0.0,
  "schedule.name": "constant",
  "schedule.options": {},
  "ema.decay": 0.0,
  "train.duration": "500 steps",
  "evaluate.every": "100 steps",
  "checkpoint.best": "validation/top1",
}

Tree = Any
Config = configs.ConfigDict


@dataclasses.dataclass(frozen=True)
class Durations:
  """The durations of a config in steps."""

  total: int
  warmup: int
  evaluate: int
  checkpoint: int
  log: int


def open_splits(config: Config) -> dict[str, data.Dataset]:
  """The splits a config names, by role: train, validation, test.

  Raises:
    ValueError: a split is missing, or two of them have different classes.
  """
  roles = ("train", "validation", "test")
  splits = {
    role: data.open_dataset(config.data, config.data[role])
    for role in roles
    if config.data[role]
  }
  if "train" not in splits:
    raise ValueError('data.train is empty; name a split, as in "train"')
  for role, split in splits.items():
    if split.class_names != splits["train"].class_names:
      raise ValueError(
        f"data.{role} {split.split!r} of {split.name} has the classes "
        f"{_short(split.class_names)}, but the training split has "
        f"{_short(splits['train'].class_names)}; the splits of a run share "
        "their classes"
      )
  return splits


def durations(config: Config, *, num_examples: int) -> Durations:
  """Converts all durations once; see `config.steps`."""
  to_steps = functools.partial(
    configs.steps,
    batch_size=config.train.batch_size,
    num_examples=num_examples,
  )
  block = config.train.steps_per_dispatch
  total = to_steps(config.train.duration, multiple_of=block)
  if total < 1:
    raise ValueError(
      f"train.duration {config.train.duration!r} is no step at all; give at "
      'least "1 steps"'
    )
  every = functools.partial(to_steps, total_steps=total, multiple_of=block)
  return Durations(
    total=total,
    warmup=to_steps(config.schedule.warmup, total_steps=total),
    evaluate=every(config.evaluate.every) or total,
    checkpoint=every(config.checkpoint.every) or total,
    log=every(config.log.every) or total,
  )


def make_batches(
  config: Config, dataset: data.Dataset, *, train: bool
) -> data.Batches:
  """A split as batches, shuffled for training, in order for evaluation."""
  size = batch_size(config, train=train)
  return data.make_batches(
    dataset,
    batch_size=size,
    transforms=config.data.train_transforms
    if train
    else config.data.eval_transforms,
    channels=config.data.channels,
    seed=config.seed if train else None,
    rows=distributed.local_rows(size),
    threads=config.data.threads,
    max_unreadable=config.data.max_unreadable,
  )


def batch_size(config: Config, *, train: bool) -> int:
  """Examples in a batch, over all devices and processes."""
  if train:
    return config.train.batch_size
  return config.evaluate.batch_size or config.train.batch_size


def make_model(config: Config, num_classes: int) -> nn.Module:
  """The model of a config for so many classes."""
  options = config.model.options.to_dict()
  return models.create(config.model.name, num_classes=num_classes, **options)


def make_schedule(config: Config, steps: Durations) -> optax.Schedule:
  """The learning rate of a config by step."""
  return schedules.create(
    config.schedule.name,
    peak=config.optimizer.learning_rate,
    total_steps=steps.total,
    warmup_steps=steps.warmup,
    **config.schedule.options.to_dict(),
  )


def make_optimizer(
  config: Config, schedule: optax.Schedule, params: Tree
) -> optax.GradientTransformationExtraArgs:
  """The optimizer of a config; of `params` only names and shapes are read."""
  return optimizers.create(
    config.optimizer.name,
    learning_rate=schedule,
    params=params,
    weight_decay=config.optimizer.weight_decay,
    weight_decay_rules=config.optimizer.weight_decay_rules,
    learning_rate_rules=config.optimizer.learning_rate_rules,
    gradient_clip=config.optimizer.gradient_clip,
    sam_radius=config.optimizer.sam_radius,
    options=config.optimizer.options.to_dict(),
  )


def make_task_loss(config: Config, model: nn.Module) -> train_step.TaskLoss:
  """What training minimises."""
  return tasks.classification.make_task_loss(
    model,
    loss=losses.create(config.loss.name, **config.loss.options.to_dict()),
    penalty=functools.partial(
      losses.penalty,
      l1=config.loss.l1,
      l2=config.loss.l2,
      pattern=config.loss.penalty_on,
    ),
    device_transform=data.make_device_transform(config.data.device_transforms),
    mean=config.data.mean,
    std=config.data.std,
  )


def make_task_sums(
  config: Config, model: nn.Module
) -> Callable[[Tree, train_step.Batch], tuple[Tree, jax.Array]]:
  """What evaluation measures."""
  return tasks.classification.make_task_sums(
    model,
    loss=losses.create(config.loss.name, **config.loss.options.to_dict()),
    mean=config.data.mean,
    std=config.data.std,
  )


def state_functions(
  config: Config,
  model: nn.Module,
  schedule: optax.Schedule,
  image_shape: tuple[int, int, int],
  mesh: Mesh,
) -> tuple[
  optax.GradientTransformationExtraArgs,
  Callable[[], train_step.TrainState],
  train_step.TrainState,
]:
  """The optimizer, init() -> state on the mesh, and the state's template.

  The template has shapes, types and shardings but no arrays: what a checkpoint
  is restored into.
  """
  init_variables = functools.partial(
    train_step.init_variables, model, config.seed, image_shape
  )
  abstract = jax.eval_shape(init_variables)
  optimizer = make_optimizer(config, schedule, abstract["params"])

  def init() -> train_step.TrainState:
    return train_step.init_state(
      init_variables(), optimizer, ema=config.ema.decay > 0
    )

  sharding = distributed.replicated(mesh)
  template = jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
    jax.eval_shape(init),
  )
  return optimizer, jax.jit(init, out_shardings=sharding), template


def overfit(
  config: Config, splits: dict[str, data.Dataset], num_examples: int
) -> tuple[Config, dict[str, data.Dataset]]:
  """A config and splits for learning a few examples by heart.

  The same examples to train and validate on, no augmentation, regularisation
  or averaging, a constant learning rate, at least 500 steps. A model and a
  step that are right reach a loss near zero.

  Raises:
    ValueError: there are not so many examples.
  """
  train = splits["train"]
  if not 1 <= num_examples <= train.num_examples:
    raise ValueError(
      f"cannot overfit {num_examples} examples: {train.split!r} of "
      f"{train.name} has {train.num_examples}"
    )
  few = dataclasses.replace(
    train,
    split=f"{train.split}, the first {num_examples}",
    num_examples=num_examples,
    labels=lambda: train.labels()[:num_examples],
  )
  config = config_dict.ConfigDict(config)
  config.data.train_transforms = config.data.eval_transforms
  config.data.device_transforms = ()
  with config.loss.unlocked():
    for option in ("label_smoothing", "smoothing_form"):
      config.loss.options.pop(option, None)
  config.update_from_flattened_dict(_OVERFIT)
  config.train.batch_size = min(config.train.batch_size, num_examples)
  return config_dict.FrozenConfigDict(config), {
    "train": few,
    "validation": few,
  }


def untrained_loss(config: Config, num_classes: int) -> float:
  """What the loss of a classifier that knows nothing must be."""
  return losses.untrained(
    config.loss.name, config.loss.options.to_dict(), num_classes
  )


def memory_bytes(compiled: jax.stages.Compiled) -> int | None:
  """What a compiled step needs per device, if the backend tells."""
  memory = compiled.memory_analysis()
  if memory is None:
    return None
  return int(
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  )


def _short(names: tuple[str, ...]) -> str:
  shown = ", ".join(names[:5])
  return shown + (f", ... ({len(names)})" if len(names) > 5 else "")
