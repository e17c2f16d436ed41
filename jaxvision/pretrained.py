"""A published network ready for use, as if it were a run of ours."""

import logging
import os
from typing import Any

import jax

from jaxvision import (
  assembly,
  class_names,
  data,
  distributed,
  inference,
  preprocessing,
  trees,
  weights,
)
from jaxvision.configs import default

_LOGGER = logging.getLogger(__name__)


def open_weights(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  image_size: int | tuple[int, int] | None = None,
  names: str | os.PathLike[str] | None = None,
  like: str = "",
  **changes: Any,
) -> inference.TrainedRun:
  """Reads weights; `inference.predict` then names what is in images.

  Images are resized, cropped and normalised as `weights.preprocessing` says,
  which is logged. The classes have ImageNet's names where there are 1000 or
  21,843 of them, else numbers.

  Args:
    path_or_url: as `weights.load` takes it.
    name: of the model.
    image_size: one side, or (height, width), in pixels; None is what the
      weights are for.
    names: a file with the name of each class on a line, in the order of the
      logits; None is as above.
    like: whose preprocessing it is, in place of the file's, as for
      `weights.preprocessing`.
    **changes: of the preprocessing, as `preprocessing.changed` takes them.

  Raises:
    FileNotFoundError, ConnectionError, ValueError: as `weights.load` does; a
      ValueError for a file of another number of names, and for the folder of a
      run, which knows more than its weights: `inference.load_run` reads it.
    trees.NotFinite: they hold a NaN or an infinity.
  """
  if os.path.isdir(path_or_url):
    raise ValueError(f"{path_or_url} is a run: say --workdir {path_or_url}")
  if isinstance(image_size, int):
    image_size = (image_size, image_size)
  inputs = weights.preprocessing(
    path_or_url, name, like=like, image_size=image_size
  )
  inputs = preprocessing.changed(inputs, **changes)
  mesh = distributed.make_mesh(jax.devices()[:1])
  model, variables = weights.load(
    path_or_url,
    name,
    image_size=inputs.image_size,
    sharding=distributed.replicated(mesh),
  )
  trees.check_finite(variables, what=str(path_or_url))
  _LOGGER.info("images: %s", preprocessing.describe(inputs))
  for note in inputs.notes:
    _LOGGER.warning("images: %s", note)
  config = default.get_config()
  config.model.name = name
  config.data.mean, config.data.std = inputs.mean, inputs.std
  config.data.eval_transforms = preprocessing.transforms(inputs)
  return inference.TrainedRun(
    config=config,
    class_names=_class_names(model.num_classes, names),
    image_shape=(*inputs.image_size, 3),
    model=model,
    variables=variables,
    step=0,
    mesh=mesh,
  )


def _class_names(
  num_classes: int, path: str | os.PathLike[str] | None
) -> tuple[str, ...]:
  if path is not None:
    names = class_names.read(path)
    if len(names) != num_classes:
      raise ValueError(
        f"{path} has {len(names)} lines, and the weights have {num_classes} "
        "classes; a file of names has one a line"
      )
    return names
  if num_classes == len(class_names.imagenet_1k()):
    return class_names.imagenet_1k()
  if num_classes == class_names.IMAGENET_21K_CLASSES:
    try:
      return class_names.imagenet_21k()
    except (FileNotFoundError, ConnectionError) as error:
      _LOGGER.warning("the classes have numbers in place of names: %s", error)
  return tuple(map(str, range(num_classes)))


def make_batches(
  run: inference.TrainedRun, kind: str, name: str, split: str, *, size: int
) -> data.Batches:
  """Returns a split of other images in order, made for the network.

  Args:
    run: from `open_weights` or `inference.load_run`.
    kind, name: as `data.kind` and `data.name` of a config.
    split: in the slicing syntax of TFDS.
    size: examples in a batch.
  """
  config = default.get_config()
  config.data.kind, config.data.name = kind, name
  config.data.channels = run.image_shape[2]
  config.data.eval_transforms = run.config.data.eval_transforms
  config.evaluate.batch_size = size
  dataset = data.open_dataset(config.data, split)
  return assembly.make_batches(config, dataset, train=False)
