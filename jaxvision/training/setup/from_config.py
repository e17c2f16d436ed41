"""The model, task, schedule and optimizer of a config.

Each function reads its part of the config. Errors are raised before the first
compilation.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from jaxvision import (
  data,
  losses,
  models,
  optimizers,
  schedules,
  tasks,
  user_code,
)
from jaxvision.config import ConfigDict, durations
from jaxvision.parallel import sharding
from jaxvision.summary import blocks
from jaxvision.training.setup import precision
from jaxvision.training.step import forward, state
from jaxvision.xla import batched_init

Tree = Any


def make_model(
  config: ConfigDict, num_classes: int, *, total_steps: int = 0
) -> nn.Module:
  """The model of a config for a number of classes.

  A model that changes during training has an option `total_steps`. It is set
  here unless the config sets it.
  """
  options = precision.model_options(config)
  model = models.create(config.model.name, num_classes=num_classes, **options)
  if hasattr(model, "total_steps") and "total_steps" not in options:
    model = model.clone(total_steps=total_steps)
  return model


def make_task(
  config: ConfigDict,
  model: nn.Module,
  *,
  image_shape: tuple[int, int, int],
  class_names: Sequence[str],
  train: data.Dataset | None = None,
  taught: tasks.Taught = tasks.UNTAUGHT,
  kept: Mapping[str, bytes] | None = None,
) -> tasks.Task:
  """The task of a config, without the surroundings of the model.

  Args:
    config: of the run.
    model: of the config.
    image_shape: (h, w, c) of the training images.
    class_names: in the order of the outputs.
    train: the training split, whose classes are counted for "balanced" weights.
      If it is None, the loss has no "balanced" weights, and the task evaluates
      images with labels.
    taught: the teachers; without them, a task of distillation only evaluates.
    kept: the files of the task in the folder of the run.
  """
  components = tasks.Components(
    model=model,
    image_shape=tuple(image_shape),
    class_names=tuple(class_names),
    loss=_make_loss(config, train),
    normalization=data.Normalization(config.data.mean, config.data.std),
    auxiliary_weight=config.loss.auxiliary_weight,
    penalty=functools.partial(
      losses.penalty,
      l1=config.loss.l1,
      l2=config.loss.l2,
      pattern=config.loss.penalty_on,
    ),
    learning_rate_rules=config.optimizer.learning_rate_rules,
    device_transform=data.make_device_transform(config.data.device_transforms),
    labels=config.data.labels
    if train or config.data.labels != "none"
    else "classes",
    taught=taught,
    train=train,
    kept=kept or {},
  )
  options = config.task.options.to_dict()
  return tasks.create(config.task.name, components, **options)


def _make_loss(config: ConfigDict, train: data.Dataset | None) -> losses.Loss:
  loss = losses.create(config.loss.name, **config.loss.options.to_dict())
  weights = config.loss.class_weights
  balanced = weights == ("balanced",)
  if not weights or (balanced and train is None):
    return loss
  if config.data.labels != "classes":
    raise ValueError(
      f"loss.class_weights is {weights!r}, and data.labels is "
      f"{config.data.labels!r}; weights are for classes: use the loss "
      'sigmoid_focal, or data.sampling="balanced", for sets'
    )
  if balanced:
    counts = np.bincount(train.labels(), minlength=len(train.class_names))
    weights = losses.balanced_weights(counts.tolist())
  elif any(isinstance(each, str) for each in weights):
    raise ValueError(
      f"loss.class_weights is {weights!r}; expected (), ('balanced',) or a "
      "number above 0 for each class"
    )
  return losses.weighted(loss, weights)


def surround(
  config: ConfigDict, task: tasks.Task, model: nn.Module, mesh: Mesh | None
) -> tasks.Task:
  """The task with its model in the surroundings of the config, on a mesh."""
  surroundings = forward.Surroundings(
    mesh=mesh if mesh and mesh.size > 1 else None,
    rules=config.mesh.rules,
    logits=config.precision.output,
    remat=config.train.remat,
  )
  return forward.surround(task, model, surroundings)


def make_schedule(
  config: ConfigDict, steps: durations.Durations
) -> schedules.Schedule:
  """The learning rate schedule of a config: step -> learning rate."""
  return _scheduled(config, steps, config.optimizer.learning_rate)


def make_momentum(
  config: ConfigDict, steps: durations.Durations
) -> schedules.Schedule | None:
  """The schedule of the momentum: step -> momentum; None if it is constant.

  It is the opposite of the learning rate, as in torch's OneCycleLR: it falls
  while the rate rises.

  Raises:
    ValueError: the schedule of the learning rate is not one_cycle, or the
      momenta are not two numbers in (0, 1), the smaller one first.
  """
  limits = config.schedule.momentum
  if not limits:
    return None
  if config.schedule.name != "one_cycle":
    raise ValueError(
      f"schedule.momentum is {limits}, and schedule.name is "
      f"{user_code.as_written(config.schedule.name)!r}; the momentum changes "
      "with one_cycle only: set schedule.momentum to ()"
    )
  if len(limits) != 2 or not 0 < limits[0] <= limits[1]:
    raise ValueError(
      f"schedule.momentum is {limits}; expected () or the smallest and the "
      "largest momentum, as in (0.85, 0.95)"
    )
  low, high = limits
  ends = {"start_fraction": high / low, "final_fraction": high / low}
  return _scheduled(config, steps, low, **ends)


def _scheduled(
  config: ConfigDict, steps: durations.Durations, peak: float, **options: float
) -> schedules.Schedule:
  """The schedule of a config with this peak; it keeps its last value."""
  length = steps.schedule or steps.total
  schedule = schedules.create(
    config.schedule.name,
    peak=peak,
    total_steps=length,
    warmup_steps=steps.warmup,
    **{**config.schedule.options.to_dict(), **options},
  )
  if length >= steps.total:
    return schedule
  return schedules.hold(schedule, steps=length)


def make_optimizer(
  config: ConfigDict,
  schedule: schedules.Schedule,
  params: Tree,
  *,
  factors: Tree = None,
  turns: Sequence[tuple[str, int]] = (),
  momentum: schedules.Schedule | None = None,
) -> optimizers.Optimizer:
  """The optimizer of a config.

  Only the names and shapes of `params` are read. `factors` multiply the
  learning rate, see `layer_factors`. `turns` are those of the task. `momentum`
  is from `make_momentum`.
  """
  made = optimizers.create(
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
    turns=dict(turns) or None,
    momentum=momentum,
  )
  scaled = precision.is_scaled(config)
  return optimizers.with_loss_scale(made) if scaled else made


def layer_factors(
  config: ConfigDict, model: nn.Module, image_shape: tuple[int, int, int]
) -> Tree:
  """The learning rate factors of optimizer.layer_decay; None if it is 1."""
  decay = config.optimizer.layer_decay
  if decay == 1:
    return None
  return blocks.rate_factors(model, decay=decay, image_shape=image_shape)


class StateFunctions(NamedTuple):
  """The functions that make a state.

  Attributes:
    optimizer: of the parameters.
    draw: () -> the state before the first step. To trace it again costs little:
      the model is traced once.
    init: the same, with the state on the mesh; compiled in the first call.
    template: the shapes, types and shardings of the state, without arrays. A
      checkpoint is restored into it.
  """

  optimizer: optimizers.Optimizer
  draw: Callable[[], state.TrainState]
  init: Callable[[], state.TrainState]
  template: state.TrainState


def state_functions(
  config: ConfigDict,
  model: nn.Module,
  task: tasks.Task,
  schedule: schedules.Schedule,
  image_shape: tuple[int, int, int],
  mesh: Mesh,
  *,
  momentum: schedules.Schedule | None = None,
) -> StateFunctions:
  """Makes the functions that make a state. The model is traced.

  Args:
    config: of the run.
    model: of the config.
    task: of the config.
    schedule: of the learning rate.
    image_shape: (h, w, c).
    mesh: of the state.
    momentum: from `make_momentum`.
  """
  # jax keeps the traces of these two.
  init_task = jax.jit(task.init, inline=True)
  variables = jax.eval_shape(lambda: init_task(jax.random.key(config.seed)))
  optimizer = make_optimizer(
    config,
    schedule,
    variables["params"],
    factors=layer_factors(config, model, image_shape),
    turns=task.turns,
    momentum=momentum,
  )

  @functools.partial(jax.jit, inline=True)
  def draw() -> state.TrainState:
    variables = init_task(jax.random.key(config.seed))
    return init_state(config, variables, optimizer)

  shapes = jax.eval_shape(draw)
  shardings = sharding.of_state(
    shapes, shapes.params, mesh, rules=config.mesh.rules
  )
  template = jax.tree.map(
    lambda leaf, where: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=where
    ),
    shapes,
    shardings,
  )
  init = batched_init.jit(draw, out_shardings=shardings)
  return StateFunctions(optimizer, draw, init, template)


def is_averaged(config: ConfigDict) -> bool:
  """Whether the state has an average of the parameters."""
  return config.ema.decay > 0 or bool(config.ema.start)


def init_state(
  config: ConfigDict, variables: Tree, optimizer: optimizers.Optimizer
) -> state.TrainState:
  """The state before the first step; call this under jit with shardings."""
  return state.init_state(
    variables,
    optimizer,
    ema=is_averaged(config),
    dtype=config.precision.parameters,
  )
