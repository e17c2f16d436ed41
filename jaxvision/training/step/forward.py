"""The surroundings of a model in training and evaluation.

The code of a model does not depend on devices, on memory or on the type of the
logits. This file adds, from the outside to the inside,

  1. sharding: the parameters and their gradients are split over the mesh;
     batch statistics are computed device by device; if parameters are split,
     the batch is split in every layer;
  2. the type of the logits;
  3. rematerialisation, in training: the choice of the activations that are
     recomputed in the backward pass.

Names, values and random numbers stay those of the model alone.
"""

import contextlib
import dataclasses
from typing import Any

import flax.linen as nn
from jax.sharding import Mesh

from jaxvision.parallel import sharding
from jaxvision.tasks import Task
from jaxvision.training.step import remat

Tree = Any


@dataclasses.dataclass(frozen=True)
class Surroundings:
  """The surroundings of a model.

  Attributes:
    mesh: the devices that hold the state; None means one device.
    rules: of the mesh, see `jaxvision.parallel.sharding`.
    logits: the type of the logits.
    remat: "none", or a key of `remat.POLICIES`.
  """

  mesh: Mesh | None = None
  rules: sharding.Rules = ((".*", "replicate"),)
  logits: str = "float32"
  remat: str = "none"


def surround(task: Task, model: nn.Module, surroundings: Surroundings) -> Task:
  """The same task, with its model in the surroundings.

  Args:
    task: whose loss and evaluation run the model.
    model: of the task.
    surroundings: of the run.
  """

  def loss(params, model_state, batch, key, *constants):
    shape = batch["image"].shape
    if surroundings.mesh is not None:
      # The gradient is split too: no device holds the complete gradient.
      rules = surroundings.rules
      params = sharding.split(params, surroundings.mesh, rules=rules)
    with (
      _around(model, shape, surroundings),
      _remat(model, shape, surroundings),
    ):
      return task.loss(params, model_state, batch, key, *constants)

  def evaluate(variables, batch, *constants):
    with _around(model, batch["image"].shape, surroundings):
      return task.evaluate(variables, batch, *constants)

  return dataclasses.replace(task, loss=loss, evaluate=evaluate)


@contextlib.contextmanager
def _around(
  model: nn.Module, shape: tuple[int, ...], surroundings: Surroundings
):
  mesh = surroundings.mesh
  with contextlib.ExitStack() as around:
    if mesh is not None:
      around.enter_context(sharding.moments_by_device(mesh))
    if mesh is not None and sharding.splits(mesh, surroundings.rules):
      around.enter_context(sharding.batch_split(shape[0], mesh))
    if surroundings.logits != "float32":
      around.enter_context(_type_of_logits(model, surroundings.logits))
    yield


def _type_of_logits(
  model: nn.Module, dtype: str
) -> contextlib.AbstractContextManager:
  def interceptor(call, args, kwargs, context):
    outputs = call(*args, **kwargs)
    is_model = isinstance(context.module, type(model))
    # Inside of another module it is a teacher.
    is_inside = bool(context.module.path)
    if not is_model or is_inside or context.method_name != "__call__":
      return outputs
    return outputs.astype(dtype)

  return nn.intercept_methods(interceptor)


def _remat(
  model: nn.Module, shape: tuple[int, ...], surroundings: Surroundings
) -> contextlib.AbstractContextManager:
  if surroundings.remat == "none":
    return contextlib.nullcontext()
  return remat.applied(model, surroundings.remat, image_shape=shape[1:])
