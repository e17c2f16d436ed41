"""Inference with a trained run: load, evaluate, predict."""

import dataclasses
import logging
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from jaxvision import checkpoint, data, parallel, schedules, trees, user_code
from jaxvision import config as configs
from jaxvision.evaluation import classification
from jaxvision.runs import network
from jaxvision.runs import workdir as workdirs
from jaxvision.training.setup import assembly, data_record
from jaxvision.training.step import forward
from jaxvision.weights import class_names
from jaxvision.xla import cache

Tree = Any
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainedRun:
  """A trained network with its config, from a run folder or published weights.

  Attributes:
    config: the config.
    class_names: in the order of the logits.
    image_shape: (h, w, c) of the training images.
    model, variables: model.apply(variables, images, train=False) -> logits. The
      variables are the moving average (EMA) if the run has one.
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
  step: int
  mesh: Mesh
  workdir: pathlib.Path | None = None
  evaluated_shape: tuple[int, int, int] | None = None
  averaged: bool = False

  @property
  def input_shape(self) -> tuple[int, int, int]:
    """(h, w, c) of the images that are classified."""
    return self.evaluated_shape or self.image_shape

  @property
  def normalization(self) -> data.Normalization:
    """The normalisation of the pixels."""
    return data.Normalization(self.config.data.mean, self.config.data.std)


def load_run(
  workdir: str | pathlib.Path, *, which: str = "last", trust: bool = False
) -> TrainedRun:
  """Loads the config and a checkpoint of a run.

  Args:
    workdir: the run's folder.
    which: "last", "best" or the number of a step.
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
  model = assembly.make_model(config, len(result["class_names"]))
  # The schedule affects only the structure of the optimizer's state here.
  schedule = schedules.create("constant", peak=0.0, total_steps=1)
  image_shape = tuple(result["image_shape"])
  _, _, template = assembly.state_functions(
    config, model, schedule, image_shape, mesh
  )
  with checkpoint.open_saved(workdir) as manager:
    step = checkpoint.choose(manager, which)
    state, _ = checkpoint.restore_step(manager, step, template)
    path = checkpoint.directory(manager) / str(step)
  trees.check_finite(state, what=f"checkpoint {path}")
  return TrainedRun(
    config=config,
    class_names=tuple(result["class_names"]),
    image_shape=image_shape,
    model=model,
    variables=state.ema or state.variables,
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


def evaluate(
  run: TrainedRun, *, role: str = "test", data_changed: str = "refuse"
) -> classification.Evaluation:
  """Evaluates the run on a split of its own data.

  Warns about examples of the split that the run was trained on.

  Args:
    run: from `load_run`.
    role: "train", "validation" or "test".
    data_changed: "accept" allows data that have changed since the training.

  Raises:
    ValueError: the config does not have this split, or the data have changed.
    trees.NotFinite: a metric is not finite.
  """
  split = run.config.data.get(role)
  if not split:
    raise ValueError(
      f"the run has no {role} split (data.{role} = {split!r}); choose another "
      "split"
    )
  dataset = data.open_dataset(assembly.make_source(run.config), split)
  if dataset.class_names != run.class_names:
    raise ValueError(
      f"{dataset.name} has {len(dataset.class_names)} classes "
      f"{dataset.class_names[:5]}..., but the run was trained on "
      f"{len(run.class_names)}: {run.class_names[:5]}..."
    )
  if run.workdir:
    data_record.check_role(run.workdir, role, dataset, changed=data_changed)
  batches = assembly.make_batches(
    run.config, dataset, train=False, mesh=run.mesh
  )
  return measure(run, batches)


def measure(
  run: TrainedRun, batches: data.Batches
) -> classification.Evaluation:
  """Evaluates the run on batches of any split with the classes of the run.

  Raises:
    trees.NotFinite: a metric is not finite.
  """
  if run.averaged:
    _LOGGER.info("evaluated: the moving average of the parameters")
  task_sums = forward.make_task_sums(run.config, run.model, mesh=run.mesh)
  evaluator = classification.make_evaluator(task_sums, batches, run.mesh)
  measured = evaluator(run.variables)
  split = batches.examples.dataset.split
  trees.check_finite(
    jax.tree.map(np.asarray, measured.metrics),
    what=f"step {run.step}, evaluated on {split}: the model overflows, and",
  )
  return measured


def describe(run: TrainedRun) -> str:
  """The checkpoint in use: "step 48, moving average of the parameters"."""
  average = ", moving average of the parameters" if run.averaged else ""
  return f"step {run.step}{average}"


def predict(
  run: TrainedRun, images: Sequence[str | pathlib.Path], *, top: int = 5
) -> list[dict[str, Any]]:
  """The most probable classes of image files.

  Images of another size than the evaluation images are resized. ImageNet's
  classes have names instead of WordNet ids.

  Args:
    run: from `load_run`.
    images: paths of image files.
    top: maximum number of classes per image.

  Returns:
    Per file {"image": path, "top": [{"class", "probability"}, ...]}, or
    {"image": path, "error": reason} if it cannot be read.

  Raises:
    trees.NotFinite: the model overflows, so a probability is not finite.
  """
  of_data = run.config.data
  transform = data.make_host_transform(of_data.eval_transforms)
  to_size = data.make_host_transform((f"resize({run.input_shape[:2]})",))

  @jax.jit
  def probabilities(variables, image):
    pixels = data.normalize(image[None], run.normalization)
    logits = run.model.apply(variables, pixels, train=False)
    return jax.nn.softmax(logits[0].astype(jnp.float32))

  readable, found = class_names.readable(run.class_names), []
  for path in map(str, images):
    try:
      image = data.read_image(
        path, channels=of_data.channels, max_pixels=of_data.max_pixels
      )
      image = transform(None, image)
      if image.shape != run.input_shape:
        image = to_size(None, image)
    except Exception as error:  # of this image only
      reason = data.reason_of(error)
      if reason is None:
        raise
      found.append({"image": path, "error": reason})
      continue
    shares = np.asarray(probabilities(run.variables, image))
    trees.check_finite(
      {"probabilities": shares}, what=f"{path}: the model overflows, and"
    )
    best = np.argsort(-shares, kind="stable")[:top]
    names = [
      {"class": readable[i], "probability": float(shares[i])} for i in best
    ]
    found.append({"image": path, "top": names})
  return found


def _make_mesh(config: configs.ConfigDict) -> Mesh:
  """A mesh of as many devices as divide the batches of the run.

  Parameters are sharded over the axis "fsdp" as in the run, if possible.
  """
  devices = jax.devices()
  size = assembly.batch_size(config, train=False)
  count = math.gcd(len(devices), size)
  fsdp = math.gcd(config.mesh.fsdp or count, count)
  return parallel.make_mesh(devices[:count], fsdp=fsdp)
