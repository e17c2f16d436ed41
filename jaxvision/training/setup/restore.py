"""The trained run of a folder: config, model and variables."""

import dataclasses
import math
import pathlib
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from jaxvision import checkpoint, data, parallel, schedules, trees, user_code
from jaxvision import config as configs
from jaxvision.runs import network, reading
from jaxvision.runs import workdir as workdirs
from jaxvision.tasks import Task, contract
from jaxvision.training.setup import from_config, inputs
from jaxvision.xla import cache

Tree = Any


@dataclasses.dataclass(frozen=True)
class TrainedRun:
  """A trained network with its config, from a run folder or published weights.

  Attributes:
    config: the config.
    class_names: in the order of the logits.
    image_shape: (h, w, c) of the training images.
    model: of the config.
    variables: of all networks of the task, the moving average (EMA) if the run
      has one; `model_variables` are those of the model:
      model.apply(model_variables, images, train=False) -> logits.
    task: of the run, without a mesh.
    step: step of the checkpoint.
    mesh: mesh of the variables.
    workdir: the run's folder; None for published weights.
    evaluated_shape: (h, w, c) of evaluation images, if it differs.
    averaged: whether the variables are the moving average.
  """

  config: configs.ConfigDict
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  model: nn.Module
  variables: Tree
  task: Task
  step: int
  mesh: Mesh
  workdir: pathlib.Path | None = None
  evaluated_shape: tuple[int, int, int] | None = None
  averaged: bool = False

  @property
  def input_shape(self) -> tuple[int, int, int]:
    """(h, w, c) of the images in evaluation."""
    return self.evaluated_shape or self.image_shape

  @property
  def model_variables(self) -> Tree:
    """The variables of `model`, among those of the networks of the task."""
    return contract.of_model(self.task, self.variables)

  @property
  def normalization(self) -> data.Normalization:
    """The normalisation of the pixels."""
    return data.Normalization(self.config.data.mean, self.config.data.std)


def load_run(
  workdir: str | pathlib.Path,
  *,
  which: str | None = None,
  trust: bool = False,
) -> TrainedRun:
  """Loads the config and a checkpoint of a run.

  Args:
    workdir: the run's folder.
    which: "last", "best" or the number of a step. None means the checkpoint
      that result.json describes: the best one if the run is finished and has
      checkpoint.restore_best, else the last one.
    trust: allow code in the folder that this account has not trusted before.

  Raises:
    FileNotFoundError: the folder is not a run, or lacks this checkpoint.
    ValueError: the folder has code that is not trusted.
    checkpoint.CheckpointError: the checkpoint cannot be read.
    trees.NotFinite: the checkpoint has NaN or infinity.
  """
  cache.cache_compilations()
  with user_code.trusting(trust):
    config = read_config(workdir)
  result = network.read_result(workdir)
  mesh = _make_mesh(config)
  class_names = tuple(result["class_names"])
  image_shape = tuple(result["image_shape"])
  model = from_config.make_model(config, len(class_names))
  task = from_config.make_task(
    config,
    model,
    image_shape=image_shape,
    class_names=class_names,
    kept=workdirs.read_kept(workdir),
  )
  # The schedules affect only the structure of the optimizer's state here.
  schedule = schedules.create("constant", peak=0.0, total_steps=1)
  template = from_config.state_functions(
    config,
    model,
    task,
    schedule,
    image_shape,
    mesh,
    momentum=schedule if config.schedule.momentum else None,
  ).template
  with checkpoint.open_saved(workdir) as manager:
    named = which if which is not None else reading.evaluated_checkpoint(result)
    step = checkpoint.choose(manager, named)
    state, _ = checkpoint.restore_step(manager, step, template)
    path = checkpoint.directory(manager) / str(step)
  trees.check_finite(state, what=f"checkpoint {path}")
  return TrainedRun(
    config=config,
    class_names=class_names,
    image_shape=image_shape,
    model=model,
    variables=state.ema or state.variables,
    task=task,
    step=step,
    mesh=mesh,
    workdir=pathlib.Path(workdir),
    evaluated_shape=tuple(result.get("evaluated_shape", image_shape)),
    averaged=bool(state.ema),
  )


def read_config(workdir: str | pathlib.Path) -> configs.ConfigDict:
  """Reads the config of a run; a key that it lacks has its default.

  Raises:
    FileNotFoundError: the folder is not a run.
    ValueError: it names code that this account does not trust.
  """
  return workdirs.load_config(workdir)


def _make_mesh(config: configs.ConfigDict) -> Mesh:
  """A mesh of as many devices as divide the batches of the run.

  Parameters are sharded over the axis "fsdp" as in the run, if possible.
  """
  devices = jax.devices()
  size = inputs.batch_size(config, train=False)
  count = math.gcd(len(devices), size)
  fsdp = math.gcd(config.mesh.fsdp or count, count)
  return parallel.make_mesh(devices[:count], fsdp=fsdp)
