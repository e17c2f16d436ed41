"""The teachers of a config, and the record of them in the folder of a run.

A teacher is "RUN_FOLDER", or "NAME@FILE" with the name of a model and a file as
`weights.load` takes it: "resnet152@resnet152.pth". It has the normalisation and
the image size with which it is evaluated.

WORKDIR/teachers.json contains a digest of each teacher. A run that is resumed
with other teachers would give wrong results without an error.
"""

import hashlib
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from jaxvision import (
  data,
  files,
  models,
  parallel,
  trees,
  user_code,
  variables,
  weights,
)
from jaxvision.checkpoint import fingerprint
from jaxvision.config import ConfigDict
from jaxvision.downloads import redaction
from jaxvision.parallel import sharding
from jaxvision.processes import agreement
from jaxvision.runs import network
from jaxvision.tasks import Teacher
from jaxvision.weights import class_names as names_of_classes

Tree = Any

_RECORD = "teachers.json"
# The rules of a config name parameters of the student.
_RULES = ((".*", "fsdp"),)
_LOGGER = logging.getLogger(__name__)


def load(
  config: ConfigDict, mesh: Mesh, *, num_classes: int, here: bool = True
) -> tuple[Teacher, ...]:
  """Loads the teachers of a config.

  Args:
    config: of the run.
    mesh: on which their variables are placed.
    num_classes: of the student; 0 if only the teachers determine it.
    here: whether the devices are attached. Otherwise the variables are shapes,
      and only the headers of files are read.

  Raises:
    FileNotFoundError, ConnectionError, ValueError: a teacher does not exist, is
      not a network, or does not fit. The message names the teacher.
    trees.NotFinite: a teacher has NaN or infinity.
  """
  return tuple(
    _load(text, config, mesh, num_classes, here)
    for text in config.task.teachers
  )


def _load(
  text: str, config: ConfigDict, mesh: Mesh, num_classes: int, here: bool
) -> Teacher:
  shown = redaction.without_secrets(text)
  try:
    found = _open(text, config, mesh, num_classes, here)
  except (ValueError, OSError) as error:
    if isinstance(error, trees.NotFinite):
      raise
    raise type(error)(f"the teacher {shown}: {error}") from error
  _LOGGER.info("teacher: %s, at %dx%d pixels", shown, *found.image_size)
  return found


def _open(
  text: str, config: ConfigDict, mesh: Mesh, num_classes: int, here: bool
) -> Teacher:
  name, address = _split(text)
  inputs = weights.preprocessing(address, name)
  side = config.task.teacher_image_size
  size = (side, side) if side else inputs.image_size
  options = _options(address, name, size, config)
  class_names = _class_names(address)
  template = _template(
    name,
    options,
    num_classes=len(class_names) or num_classes or 1,
    image_shape=(*size, config.data.channels),
    mesh=mesh,
  )
  model, found = template
  if here:
    model, found = weights.load(
      address,
      name,
      image_size=size,
      channels=config.data.channels,
      sharding=_placement(found, mesh),
      **options,
    )
    trees.check_finite(found, what=f"the teacher {text}")
  normalization = data.Normalization(
    *(_for_channels(each, config) for each in (inputs.mean, inputs.std))
  )
  about = repr((name, sorted(options.items()), normalization, size))
  return Teacher(
    name=redaction.without_secrets(text),
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
  """The classes of a run; () for a file."""
  folder = os.path.expanduser(address)
  return network.read(folder).class_names if os.path.isdir(folder) else ()


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

  Classes that are numbers are not compared: their data have no names.

  Args:
    teachers: of the run.
    class_names: of the data.
  """
  own = names_of_classes.readable(class_names)
  for each in teachers:
    theirs = names_of_classes.readable(each.class_names)
    if len(theirs) != len(own) or theirs == own:
      continue  # The task compares the numbers of classes.
    if any(all(map(str.isdecimal, names)) for names in (own, theirs)):
      continue
    place = next(i for i, name in enumerate(own) if name != theirs[i])
    raise ValueError(
      f"the teacher {each.name} has other classes than the data: class {place} "
      f"is {theirs[place]!r}, and {own[place]!r} in the data; a teacher must "
      "have the classes of the data, in the same order"
    )


def check_record(workdir: pathlib.Path, digests: Mapping[str, str]) -> None:
  """Compares the teachers with the record of the run; writes a missing record.

  Args:
    workdir: the run's folder.
    digests: of the teachers, by name.

  Raises:
    ValueError: the run was started with other teachers.
  """
  if digests:
    agreement.first(lambda: _check_record(workdir, digests))


def _check_record(workdir: pathlib.Path, digests: Mapping[str, str]) -> None:
  path = workdir / _RECORD
  now = [{"name": k, "digest": digest} for k, digest in digests.items()]
  if not path.exists():
    files.write_json(path, {"teachers": now})
    return
  remedy = "restore it, or train a new run in another --workdir"
  then = files.read_json(path, remedy=remedy)["teachers"]
  if [each["digest"] for each in then] == [each["digest"] for each in now]:
    return
  old = ", ".join(f"{each['name']} ({each['digest'][:8]})" for each in then)
  new = ", ".join(f"{each['name']} ({each['digest'][:8]})" for each in now)
  raise ValueError(
    f"the run in {workdir} learns from other teachers: {old} at its start, "
    f"{new} now; restore the teachers, or train a new run in another --workdir"
  )
