"""Makes what a config names: the splits, the model, the loss, the optimizer.

Everything here fails early and in words: each function reads its part of the
config, and what it cannot read is an error before anything is compiled.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from jaxvision import config as configs
from jaxvision import (
  data,
  models,
  optimizers,
  parallel,
  schedules,
  user_code,
)
from jaxvision.config import durations
from jaxvision.parallel import sharding
from jaxvision.summary import blocks
from jaxvision.training.setup import checks
from jaxvision.training.step import forward, precision, train_step
from jaxvision.variables import init_variables
from jaxvision.xla import batched_init

Tree = Any
Config = configs.ConfigDict


@dataclasses.dataclass(frozen=True)
class Parts:
  """What a config names, made; nothing is compiled or allocated yet.

  Attributes:
    config: frozen.
    splits, batches: by role: train, validation, test.
    mesh: of all devices.
    model: for the classes of the data.
    image_shape: (h, w, c) of the model's images.
    steps: the durations.
    schedule: step -> learning rate.
    optimizer, init, template: from `state_functions`.
  """

  config: Config
  splits: dict[str, data.Dataset]
  batches: dict[str, data.Batches]
  mesh: Mesh
  model: nn.Module
  image_shape: tuple[int, int, int]
  steps: durations.Durations
  schedule: schedules.Schedule
  optimizer: optimizers.Optimizer
  init: Callable[[], train_step.TrainState]
  template: train_step.TrainState


def make_source(config: Config) -> data.Source:
  """The data set that a config names."""
  of = config.data
  return data.Source(
    kind=of.kind,
    name=of.name,
    data_dir=of.data_dir,
    num_classes=of.num_classes,
    sources=of.sources,
  )


def open_splits(config: Config) -> dict[str, data.Dataset]:
  """The splits a config names, by role: train, validation, test.

  Raises:
    ValueError: a split is missing, or two of them have different classes.
  """
  roles = ("train", "validation", "test")
  splits = {
    role: data.open_dataset(make_source(config), config.data[role])
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


def prepare(
  config: Config,
  splits: dict[str, data.Dataset],
  *,
  devices: Sequence[jax.Device] | None = None,
) -> Parts:
  """Makes what a config names, except for what must be compiled.

  The loss is traced, so that whatever is wrong with the model, the loss, the
  transforms or the optimizer is said here.

  Args:
    config: of the run.
    splits: from `open_splits`.
    devices: to run on, which need not be here; None is all that are.

  Raises:
    ValueError: the config names something that does not exist, or that does
      not go together.
  """
  num_classes = len(splits["train"].class_names)
  mesh = parallel.make_mesh(
    devices,
    replica=config.mesh.replica,
    data=config.mesh.data,
    fsdp=config.mesh.fsdp,
  )
  checks.check(config, mesh)
  # Without a split to evaluate, only `jaxvision predict` would read these.
  data.make_host_transform(config.data.eval_transforms)
  if "validation" in splits:
    checks.check_best(config, num_classes)
  batches = {
    role: make_batches(config, split, train=role == "train", mesh=mesh)
    for role, split in splits.items()
  }
  steps = durations.convert(config, num_examples=splits["train"].num_examples)
  model = make_model(
    config, num_classes, total_steps=steps.schedule or steps.total
  )
  schedule = make_schedule(config, steps)
  image_shape = batches["train"].image_shape
  optimizer, init, template = state_functions(
    config, model, schedule, image_shape, mesh
  )
  if devices is None:
    checks.check_memory(template, mesh)
  if user_code.is_own(config.model.name):
    checks.check_logits(config, model, template.variables, image_shape)
  jax.eval_shape(
    forward.make_task_loss(config, model, mesh=mesh),
    template.params,
    template.model_state,
    batch_template(config, image_shape, mesh),
    jax.eval_shape(jax.random.key, 0),
  )
  for role, each in batches.items():
    checks.check_evaluated_size(
      model,
      template.variables,
      trained=image_shape,
      evaluated=each.image_shape,
      role=role,
    )
  return Parts(
    config=config,
    splits=splits,
    batches=batches,
    mesh=mesh,
    model=model,
    image_shape=image_shape,
    steps=steps,
    schedule=schedule,
    optimizer=optimizer,
    init=init,
    template=template,
  )


def batch_template(
  config: Config, image_shape: tuple[int, int, int], mesh: Mesh
) -> Tree:
  """The shapes, types and shardings of a training batch."""
  size = config.train.batch_size
  split = parallel.batch_sharding(mesh)
  shapes = {
    "image": ((size, *image_shape), np.uint8),
    "label": ((size,), np.int32),
    "mask": ((size,), np.float32),
  }
  return {
    name: jax.ShapeDtypeStruct(*shape, sharding=split)
    for name, shape in shapes.items()
  }


def make_batches(
  config: Config,
  dataset: data.Dataset,
  *,
  train: bool,
  mesh: Mesh | None = None,
) -> data.Batches:
  """A split as batches, shuffled for training, in order for evaluation.

  Args:
    config: of the run.
    dataset: the split.
    train: which of the two.
    mesh: whose devices in this process decide which rows are made; None makes
      all.
  """
  size = batch_size(config, train=train)
  return data.make_batches(
    dataset,
    batch_size=size,
    transforms=config.data.train_transforms
    if train
    else config.data.eval_transforms,
    channels=config.data.channels,
    seed=config.seed if train else None,
    rows=parallel.local_rows(size, mesh) if mesh else slice(size),
    threads=config.data.threads,
    workers=config.data.workers,
    max_unreadable=config.data.max_unreadable,
    max_pixels=config.data.max_pixels,
  )


def batch_size(config: Config, *, train: bool) -> int:
  """Examples in a batch, over all devices and processes."""
  if train:
    return config.train.batch_size
  return config.evaluate.batch_size or config.train.batch_size


def make_model(
  config: Config, num_classes: int, *, total_steps: int = 0
) -> nn.Module:
  """The model of a config for so many classes.

  One that changes over the training has an option `total_steps`, which it gets
  here unless the config sets it.
  """
  options = precision.model_options(config)
  model = models.create(config.model.name, num_classes=num_classes, **options)
  if hasattr(model, "total_steps") and "total_steps" not in options:
    model = model.clone(total_steps=total_steps)
  return model


def make_schedule(
  config: Config, steps: durations.Durations
) -> schedules.Schedule:
  """The learning rate of a config by step."""
  length = steps.schedule or steps.total
  schedule = schedules.create(
    config.schedule.name,
    peak=config.optimizer.learning_rate,
    total_steps=length,
    warmup_steps=steps.warmup,
    **config.schedule.options.to_dict(),
  )
  if length >= steps.total:
    return schedule
  return schedules.hold(schedule, steps=length)


def make_optimizer(
  config: Config,
  schedule: schedules.Schedule,
  params: Tree,
  *,
  factors: Tree = None,
) -> optimizers.Optimizer:
  """The optimizer of a config; of `params` only names and shapes are read.

  The factors are those of the learning rate, by `layer_factors`.
  """
  return optimizers.create(
    config.optimizer.name,
    learning_rate=schedule,
    params=params,
    weight_decay=config.optimizer.weight_decay,
    weight_decay_rules=config.optimizer.weight_decay_rules,
    learning_rate_rules=config.optimizer.learning_rate_rules,
    learning_rate_factors=factors,
    gradient_clip=config.optimizer.gradient_clip,
    sam_radius=config.optimizer.sam_radius,
    state_dtype=precision.optimizer_state(config),
    options=config.optimizer.options.to_dict(),
  )


def layer_factors(
  config: Config, model: nn.Module, image_shape: tuple[int, int, int]
) -> Tree:
  """The factors of the learning rate by optimizer.layer_decay; None if off."""
  decay = config.optimizer.layer_decay
  if decay == 1:
    return None
  return blocks.rate_factors(model, decay=decay, image_shape=image_shape)


def state_functions(
  config: Config,
  model: nn.Module,
  schedule: schedules.Schedule,
  image_shape: tuple[int, int, int],
  mesh: Mesh,
) -> tuple[
  optimizers.Optimizer,
  Callable[[], train_step.TrainState],
  train_step.TrainState,
]:
  """The optimizer, init() -> state on the mesh, and the state's template.

  The template has shapes, types and shardings but no arrays: what a checkpoint
  is restored into.
  """
  draw = functools.partial(init_variables, model, config.seed, image_shape)
  abstract = jax.eval_shape(draw)
  factors = layer_factors(config, model, image_shape)
  optimizer = make_optimizer(
    config, schedule, abstract["params"], factors=factors
  )

  def init() -> train_step.TrainState:
    return init_state(config, draw(), optimizer)

  state = jax.eval_shape(init)
  shardings = sharding.of_state(
    state, state.params, mesh, rules=config.mesh.rules
  )
  template = jax.tree.map(
    lambda a, where: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where),
    state,
    shardings,
  )
  return optimizer, batched_init.jit(init, out_shardings=shardings), template


def init_state(
  config: Config, variables: Tree, optimizer: optimizers.Optimizer
) -> train_step.TrainState:
  """The state before the first step; call it under jit with shardings."""
  return train_step.init_state(
    variables,
    optimizer,
    ema=config.ema.decay > 0,
    dtype=config.precision.parameters,
  )


def _short(names: tuple[str, ...]) -> str:
  shown = ", ".join(names[:5])
  return shown + (f", ... ({len(names)})" if len(names) > 5 else "")
