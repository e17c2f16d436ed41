"""The parts of a run: the objects that are made from its config."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from jaxvision import data, parallel, schedules, tasks, trees, user_code
from jaxvision.config import ConfigDict, durations
from jaxvision.optimizers import Optimizer
from jaxvision.tasks import contract
from jaxvision.training.setup import (
  checks,
  explained,
  from_config,
  inputs,
  precision,
  teaching,
)
from jaxvision.training.step import TrainState, make_train_step
from jaxvision.training.step.batch_statistics import (
  COLLECTION,
  Statistics,
  make_statistics,
)

Tree = Any
# (state, batch, seed, *constants of the task) -> (state, sums)
Step = Callable[..., tuple[TrainState, Tree]]


@dataclasses.dataclass(frozen=True)
class Parts:
  """The objects of a run; nothing is compiled or allocated yet.

  Attributes:
    name, data_name: of the model and the data, as messages show them.
    splits, batches: by role: train, validation, test.
    fitted: the training split in order and without augmentation, for probes.
    mesh: of all devices.
    model: for the classes of the data.
    image_shape: (h, w, c) of the training images.
    steps: the durations, in steps.
    schedule: step -> learning rate.
    task: with the surroundings of its model.
    optimizer: of the parameters.
    seed: of the randomness in the step, () uint32.
    step: (state, batch, seed, *task.constants) -> (state, sums). It is traced
      once, and not compiled.
    draw: () -> the state before the first step, not compiled.
    init: the same, with the state on the mesh; compiled in the first call.
    template: of the state: shapes, types and shardings.
    batch: the template of a training batch.
    steps_per_call: steps in one compiled call.
    placement: of the data, "host" or "device".
    averaged: whether the state has an average.
    statistics: (variables, batch, key, *task.constants) -> the batch statistics
      of an equal average; None if it does not need them.
    best: the metric that selects the best checkpoint, and 1 where larger is
      better or -1 where smaller is better; None without one.
    probes: the names of the probes.
    suites: the calls of the suites.
    explain: the method that explains the mistakes in the report. "auto" chooses
      one that fits the model; "" explains no mistake.
    normalization: of the pixels.
    taught: the teachers of the run.
  """

  name: str
  data_name: str
  splits: dict[str, data.Dataset]
  batches: dict[str, data.Batches]
  fitted: data.Batches | None
  mesh: Mesh
  model: nn.Module
  image_shape: tuple[int, int, int]
  steps: durations.Durations
  schedule: schedules.Schedule
  task: tasks.Task
  optimizer: Optimizer
  seed: np.uint32
  step: Step
  draw: Callable[[], TrainState]
  init: Callable[[], TrainState]
  template: TrainState
  batch: Tree
  steps_per_call: int
  placement: str
  averaged: bool
  statistics: Statistics | None
  best: tuple[str, int] | None
  probes: tuple[str, ...]
  suites: tuple[str, ...]
  explain: str
  normalization: data.Normalization
  taught: tasks.Taught

  @property
  def class_names(self) -> tuple[str, ...]:
    """The classes in the order of the outputs."""
    return self.splits["train"].class_names


def prepare(
  config: ConfigDict,
  splits: dict[str, data.Dataset],
  *,
  devices: Sequence[jax.Device] | None = None,
  taught: tasks.Taught | None = None,
  kept: Mapping[str, bytes] | None = None,
  overfit: bool = False,
) -> Parts:
  """Makes the parts of a run.

  The loss is traced. Errors in the model, the loss, the transforms or the
  optimizer are raised here.

  Args:
    config: of the run.
    splits: from `inputs.open_splits`.
    devices: of the run; they need not be attached. None means all attached
      devices.
    taught: the loaded teachers of a run with the same teachers; None loads
      those of the config.
    kept: the files of the task in the folder of a run that is resumed.
    overfit: whether the run checks that a few examples are memorised.

  Raises:
    ValueError: the config contains unknown names or incompatible values.
    FileNotFoundError: a teacher does not exist.
  """
  mesh = parallel.make_mesh(
    devices,
    replica=config.mesh.replica,
    data=config.mesh.data,
    fsdp=config.mesh.fsdp,
  )
  checks.check(config, mesh)
  taught, splits = teaching.open_teachers(
    config, splits, mesh, here=devices is None, shared=taught
  )
  batches = _make_batches(config, splits, mesh)
  train = splits["train"]
  steps = durations.convert(config, num_examples=train.num_examples)
  model = from_config.make_model(
    config, len(train.class_names), total_steps=steps.schedule or steps.total
  )
  shape = batches["train"].image_shape
  task = from_config.make_task(
    config,
    model,
    image_shape=shape,
    class_names=train.class_names,
    train=train,
    taught=taught,
    kept=kept,
  )
  if overfit:
    checks.check_learnt(config, task)
  checks.check_layer_decay(config, task)
  checks.check_labels(config, task, train)
  checks.check_turns(config, task, mesh)
  batches = {
    role: each.with_fields(task.batch, task.encode)
    for role, each in batches.items()
  }
  checks.check_masks(config, batches["train"])
  parts = Parts(
    name=user_code.as_written(config.model.name),
    data_name=_data_name(config),
    splits=splits,
    batches=batches,
    fitted=_fitted(config, splits, mesh),
    mesh=mesh,
    model=model,
    image_shape=shape,
    steps=steps,
    task=from_config.surround(config, task, model, mesh),
    batch=inputs.batch_template(task, config.train.batch_size, mesh),
    steps_per_call=config.train.steps_per_dispatch,
    placement=config.data.placement,
    averaged=from_config.is_averaged(config),
    statistics=None,
    best=checks.best(config, task) if "validation" in splits else None,
    probes=tuple(config.evaluate.probes),
    suites=tuple(config.evaluate.suites),
    explain=config.evaluate.explain,
    normalization=data.Normalization(config.data.mean, config.data.std),
    taught=taught,
    **_optimization(config, task, model, steps, shape, mesh),
  )
  parts = dataclasses.replace(
    parts,
    step=_make_step(config, parts),
    statistics=_make_statistics(config, parts),
  )
  _check(config, parts, here=devices is None)
  return parts


def for_one_device(config: ConfigDict, parts: Parts) -> Parts:
  """The parts, with a task and a step that run on one device of the mesh.

  The templates have no shardings.
  """
  template, batch = trees.shapes((parts.template, parts.batch))
  parts = dataclasses.replace(parts, template=template, batch=batch)
  if parts.mesh.size == 1:
    return parts
  task = from_config.make_task(
    config,
    parts.model,
    image_shape=parts.image_shape,
    class_names=parts.class_names,
    train=parts.splits["train"],
    taught=parts.taught,
    kept=parts.task.kept,
  )
  task = from_config.surround(config, task, parts.model, None)
  parts = dataclasses.replace(parts, task=task)
  return dataclasses.replace(parts, step=_make_step(config, parts))


def as_traced(tree: Tree, mesh: Mesh) -> Tree:
  """The arguments with which programs for a mesh are traced.

  On one device they have no shardings, so all programs share the trace of the
  step.
  """
  return trees.shapes(tree) if mesh.size == 1 else tree


def _make_batches(
  config: ConfigDict, splits: dict[str, data.Dataset], mesh: Mesh
) -> dict[str, data.Batches]:
  # Checks these transforms even if there is no evaluation split.
  data.make_host_transform(config.data.eval_transforms)
  return {
    role: inputs.make_batches(config, split, train=role == "train", mesh=mesh)
    for role, split in splits.items()
  }


def _data_name(config: ConfigDict) -> str:
  """The name of the data; a mixture has no data.name."""
  return "mixture" if config.data.kind == "mixture" else config.data.name


def _fitted(
  config: ConfigDict, splits: dict[str, data.Dataset], mesh: Mesh
) -> data.Batches | None:
  if not config.evaluate.probes:
    return None
  return inputs.make_batches(config, splits["train"], train=False, mesh=mesh)


def _optimization(
  config: ConfigDict,
  task: tasks.Task,
  model: nn.Module,
  steps: durations.Durations,
  shape: tuple[int, int, int],
  mesh: Mesh,
) -> dict[str, Any]:
  """The parts that depend on the optimizer."""
  schedule = from_config.make_schedule(config, steps)
  functions = from_config.state_functions(
    config,
    model,
    task,
    schedule,
    shape,
    mesh,
    momentum=from_config.make_momentum(config, steps),
  )
  return {
    "schedule": schedule,
    "seed": np.uint32(config.seed),
    "step": None,
    **functions._asdict(),
  }


def _make_statistics(config: ConfigDict, parts: Parts) -> Statistics | None:
  """The batch statistics of the equal average; None without both."""
  if not parts.steps.statistics or COLLECTION not in parts.template.ema:
    return None
  return make_statistics(
    parts.task.loss,
    parts=config.train.accumulate,
    platform=parts.mesh.devices.flat[0].platform,
  )


def _make_step(config: ConfigDict, parts: Parts) -> Step:
  """The step. Its seed is an argument, so all seeds share a program."""
  steps = parts.steps
  times = (steps.average_start, steps.average_every)
  make = functools.partial(
    make_train_step,
    parts.task.loss,
    parts.optimizer,
    ema_decay=config.ema.decay,
    equal_average=times if config.ema.start else None,
    accumulate=config.train.accumulate,
    platform=parts.mesh.devices.flat[0].platform,
    turns=parts.task.turns,
    sizes=steps.image_sizes,
    scaled=precision.is_scaled(config),
  )

  def step(
    state: TrainState, batch: Tree, seed: jax.Array, *constants: Tree
  ) -> tuple[TrainState, Tree]:
    return make(seed=seed)(state, batch, *constants)

  # jax keeps its trace, so the checks and the compilation trace it once.
  return jax.jit(step, inline=True)


def _check(config: ConfigDict, parts: Parts, *, here: bool) -> None:
  """The checks that need shapes: memory, logits, loss, image sizes."""
  state = parts.template
  variables = contract.of_model(parts.task, state.variables)
  if here:
    checks.check_texts(parts.task, parts.splits)
    checks.check_memory((state, parts.task.constants), parts.mesh)
  if user_code.is_own(config.model.name):
    checks.check_logits(config, parts.model, variables, parts.image_shape)
  checks.check_image_sizes(
    parts.model,
    variables,
    parts.steps.image_sizes,
    trained=parts.image_shape,
  )
  arguments = (state, parts.batch, parts.seed, *parts.task.constants)
  jax.eval_shape(parts.step, *as_traced(arguments, parts.mesh))
  *_, evaluated = parts.batches.values()
  explained.check(config, parts.model, image_shape=evaluated.image_shape)
  for role, each in parts.batches.items():
    checks.check_evaluated_size(
      parts.model,
      variables,
      trained=parts.image_shape,
      evaluated=each.image_shape,
      role=role,
    )
