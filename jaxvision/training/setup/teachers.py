"""The teachers of a config.

A teacher is "RUN_FOLDER", or "NAME@FILE" with the name of a model and a file as
`weights.load` takes it: "resnet152@resnet152.pth". It has the normalisation and
the image size with which it is evaluated.
"""

import functools
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from jaxvision import (
  data,
  models,
  parallel,
  tasks,
  trees,
  user_code,
  variables,
  weights,
)
from jaxvision.checkpoint import fingerprint
from jaxvision.config import ConfigDict
from jaxvision.downloads import redaction
from jaxvision.parallel import sharding
from jaxvision.runs import network
from jaxvision.tasks import Teacher
from jaxvision.weights import class_names as names_of_classes

Tree = Any

# The types of the errors of a teacher, the narrower first.
_ERRORS = (FileNotFoundError, ConnectionError, OSError, ValueError)
# The rules of a config name parameters of the student.
_RULES = ((".*", "fsdp"),)
_LOGGER = logging.getLogger(__name__)


def load(
  config: ConfigDict, mesh: Mesh, *, here: bool = True
) -> tuple[Teacher, ...]:
  """Loads the teachers of a config.

  Args:
    config: of the run.
    mesh: on which their variables are placed.
    here: whether the devices are attached. Otherwise the variables are shapes,
      and only the headers of files are read.

  Raises:
    FileNotFoundError, ConnectionError, OSError: a teacher does not exist, or
      cannot be read. The message names the teacher.
    ValueError: it is not a classifier, or does not fit. Likewise.
    trees.NotFinite: a teacher has NaN or infinity.
  """
  return tuple(_load(text, config, mesh, here) for text in config.task.teachers)


def _load(text: str, config: ConfigDict, mesh: Mesh, here: bool) -> Teacher:
  shown = redaction.without_secrets(text)
  try:
    found = _open(text, config, mesh, here)
  except (ValueError, OSError) as error:
    # The types of libraries may take other arguments than a text.
    kind = next(each for each in _ERRORS if isinstance(error, each))
    message = redaction.redacted(str(error), text)
    raise kind(f"the teacher {shown}: {message}") from error
  _LOGGER.info("teacher: %s, at %dx%d pixels", shown, *found.image_size)
  return found


def _open(text: str, config: ConfigDict, mesh: Mesh, here: bool) -> Teacher:
  name, address = _split(text)
  shown, class_names = redaction.without_secrets(text), _class_names(address)
  inputs = weights.preprocessing(address, name)
  side = config.task.teacher_image_size
  size = (side, side) if side else inputs.image_size
  options = _options(address, name, size, config)
  shape = (*size, config.data.channels)
  model, found = _template(
    name,
    options,
    num_classes=len(class_names) or _num_classes(address),
    image_shape=shape,
    mesh=mesh,
  )
  _check_answers(model, found, shape)
  if here:
    model, found = weights.load(
      address,
      name,
      image_size=size,
      channels=config.data.channels,
      sharding=_placement(found, mesh),
      **options,
    )
    trees.check_finite(found, what=f"the teacher {shown}")
  normalization = data.Normalization(
    *(_for_channels(each, config) for each in (inputs.mean, inputs.std))
  )
  about = repr((name, sorted(options.items()), normalization, size))
  return Teacher(
    name=shown,
    model=model,
    variables=found,
    normalization=normalization,
    image_size=size,
    class_names=class_names or _imagenet(model.num_classes),
    digest=_digest(found, about) if here else "",
  )


def _split(text: str) -> tuple[str, str]:
  """The name of the model, and the folder or the file."""
  if os.path.isdir(os.path.expanduser(text)):
    return network.read(os.path.expanduser(text)).model, text
  name, at, address = text.partition("@")
  if not at or not name or not address:
    raise FileNotFoundError(
      "it is not a run folder; give the folder of a run, or NAME@FILE with the "
      "name of a model and a file of weights, as in resnet50@resnet50.pth"
    )
  return name, address


def _options(
  address: str, name: str, size: tuple[int, int], config: ConfigDict
) -> dict[str, Any]:
  """The options of the model, with the type of the run's computation."""
  options = weights.implied_options(address, name, image_size=size)
  compute = config.precision.compute
  if compute != "float32" and not user_code.is_own(name):
    options |= {"dtype": compute}
  return options


def _class_names(address: str) -> tuple[str, ...]:
  """The classes of a run; () for a file.

  Raises:
    ValueError: it is a run of another task than classification.
  """
  folder = os.path.expanduser(address)
  if not os.path.isdir(folder):
    return ()
  run = network.read(folder)
  if run.task not in tasks.CLASSIFYING and not user_code.is_own(run.task):
    raise ValueError(
      f"it is a run of the task {run.task!r}, which does not learn one class "
      f"for each image; a teacher's task is {' or '.join(tasks.CLASSIFYING)}"
    )
  return run.class_names


def _num_classes(address: str) -> int:
  """The number of classes of a file, from its header.

  Raises:
    ValueError: it has no classifier.
  """
  count = weights.inspect(address).num_classes
  if not count:
    raise ValueError("it has no classifier; a teacher is a trained classifier")
  return count


def _check_answers(
  model: nn.Module, shapes: Tree, image_shape: tuple[int, int, int]
) -> None:
  """Raises ValueError unless a network has one logit for each class."""
  images = jax.ShapeDtypeStruct((2, *image_shape), np.float32)
  apply = functools.partial(model.apply, train=False)
  found = getattr(jax.eval_shape(apply, shapes, images), "shape", None)
  if found != (2, model.num_classes):
    raise ValueError(
      f"it returns {found} for 2 images; expected logits of the shape "
      f"{(2, model.num_classes)}: a teacher is a classifier"
    )


def _imagenet(num_classes: int) -> tuple[str, ...]:
  names = names_of_classes.imagenet_1k()
  return names if num_classes == len(names) else ()


def _template(
  name: str,
  options: Mapping[str, Any],
  *,
  num_classes: int,
  image_shape: tuple[int, int, int],
  mesh: Mesh,
) -> tuple[Any, Tree]:
  """The model, and the shapes and shardings of its variables."""
  model = models.create(name, num_classes=num_classes, **options)
  shapes = variables.variable_shapes(model, image_shape=image_shape)
  places = sharding.of_state(shapes, shapes["params"], mesh, rules=_RULES)
  return model, jax.tree.map(
    lambda leaf, where: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=where
    ),
    shapes,
    places,
  )


def _placement(template: Tree, mesh: Mesh):
  """(path, shape) -> sharding; a leaf of another shape is replicated."""
  known, whole = trees.flatten(template), parallel.replicated(mesh)

  def place(path: str, shape: tuple[int, ...]) -> jax.sharding.Sharding:
    leaf = known.get(path)
    return leaf.sharding if leaf and leaf.shape == tuple(shape) else whole

  return place


def _for_channels(
  values: Sequence[float], config: ConfigDict
) -> tuple[float, ...]:
  """Numbers per channel, for the channels of the student."""
  if len(values) in (1, config.data.channels):
    return tuple(values)
  return (sum(values) / len(values),)


def _digest(found: Tree, about: str) -> str:
  text = hashlib.sha256(about.encode()).hexdigest()[:16]
  return fingerprint.of(found) + text


def check_classes(
  teachers: Sequence[Teacher], class_names: Sequence[str]
) -> None:
  """Raises ValueError if a teacher has other classes than the data.

  Names of classes that are numbers are not compared: their data have no names.

  Args:
    teachers: of the run.
    class_names: of the data.
  """
  own = names_of_classes.readable(class_names)
  for each in teachers:
    if (count := each.model.num_classes) != len(own):
      raise ValueError(
        f"the teacher {each.name} has {count} classes, and the data have "
        f"{len(own)}; a teacher must have the classes of the data"
      )
    theirs = names_of_classes.readable(each.class_names)
    if not theirs or theirs == own:
      continue
    if any(all(map(str.isdecimal, names)) for names in (own, theirs)):
      continue
    place = next(i for i, name in enumerate(own) if name != theirs[i])
    raise ValueError(
      f"the teacher {each.name} has other classes than the data: class {place} "
      f"is {theirs[place]!r}, and {own[place]!r} in the data; a teacher must "
      "have the classes of the data, in the same order"
    )
