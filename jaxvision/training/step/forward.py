"""How a run applies its model, to train and to evaluate it.

The model knows nothing of what surrounds it here: a mesh that its parameters
and its images are split over, activations that are computed again, the type of
its logits. All of that is `nn.intercept_methods`, so that names, values and
random numbers stay those of the model alone.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh

from jaxvision import data, losses, tasks
from jaxvision.config import ConfigDict
from jaxvision.parallel import sharding
from jaxvision.tasks.contract import Batch, TaskLoss
from jaxvision.training.step import precision, remat

Tree = Any
TaskSums = Callable[[Tree, Batch], tuple[Tree, jax.Array]]


def make_task_loss(
  config: ConfigDict, model: nn.Module, *, mesh: Mesh | None = None
) -> TaskLoss:
  """What training minimises.

  Args:
    config: of the run.
    model: of the config.
    mesh: what the state lies on; None is one device.
  """
  task_loss = tasks.classification.make_task_loss(
    model,
    loss=losses.create(config.loss.name, **config.loss.options.to_dict()),
    auxiliary_weight=config.loss.auxiliary_weight,
    penalty=functools.partial(
      losses.penalty,
      l1=config.loss.l1,
      l2=config.loss.l2,
      pattern=config.loss.penalty_on,
    ),
    learning_rate_rules=config.optimizer.learning_rate_rules,
    device_transform=data.make_device_transform(config.data.device_transforms),
    normalization=data.Normalization(config.data.mean, config.data.std),
  )

  def applied(params, model_state, batch, key):
    shape = batch["image"].shape
    if mesh is not None:
      # So is the gradient: no device ever has the whole.
      params = sharding.split(params, mesh, rules=config.mesh.rules)
    with _around(config, model, shape, mesh), _remat(config, model, shape):
      return task_loss(params, model_state, batch, key)

  return applied


def make_task_sums(
  config: ConfigDict, model: nn.Module, *, mesh: Mesh | None = None
) -> TaskSums:
  """What evaluation measures: (variables, batch) -> (sums, logits (b, k)).

  Args:
    config: of the run.
    model: of the config.
    mesh: what the variables lie on; None is one device.
  """
  task_sums = tasks.classification.make_task_sums(
    model,
    loss=losses.create(config.loss.name, **config.loss.options.to_dict()),
    normalization=data.Normalization(config.data.mean, config.data.std),
  )

  def applied(variables, batch):
    with _around(config, model, batch["image"].shape, mesh):
      return task_sums(variables, batch)

  return applied


@contextlib.contextmanager
def _around(
  config: ConfigDict,
  model: nn.Module,
  shape: tuple[int, ...],
  mesh: Mesh | None,
):
  with contextlib.ExitStack() as around:
    if mesh is not None:
      around.enter_context(sharding.moments_by_device(mesh))
    if mesh is not None and sharding.splits(mesh, config.mesh.rules):
      around.enter_context(sharding.batch_split(shape[0], mesh))
    if config.precision.output != "float32":
      around.enter_context(precision.of_logits(model, config.precision.output))
    yield


def _remat(
  config: ConfigDict, model: nn.Module, shape: tuple[int, ...]
) -> contextlib.AbstractContextManager:
  policy = config.train.remat
  if policy == "none":
    return contextlib.nullcontext()
  return remat.applied(model, policy, image_shape=shape[1:])
