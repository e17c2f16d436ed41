"""A published network ready for use, as if it were a run of ours."""

import os

import jax

from jaxvision import (
  assembly,
  class_names,
  data,
  distributed,
  inference,
  models,
  weights,
)
from jaxvision.configs import default


def open_weights(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  image_size: int | None = None,
) -> inference.TrainedRun:
  """Reads weights; `inference.predict` then names what is in images.

  Images are resized and cropped as the model's `models.spec` says; those of BiT
  are resized to a square. The classes have ImageNet's names where there are
  1000 of them, else numbers.

  Args:
    path_or_url: as `weights.load` takes it.
    name: of the model.
    image_size: height and width, in pixels; None is what the weights are for.

  Raises:
    FileNotFoundError, ConnectionError, ValueError: as `weights.load` does.
  """
  mesh = distributed.make_mesh(jax.devices()[:1])
  model, variables = weights.load(
    path_or_url,
    name,
    image_size=image_size,
    sharding=distributed.replicated(mesh),
  )
  spec = models.spec(name)
  size = image_size or weights.native_size(path_or_url, name)
  config = default.get_config()
  config.model.name = name
  config.data.mean, config.data.std = spec.mean, spec.std
  config.data.eval_transforms = (
    (f"resize({size})",)
    if name.startswith("bit_")
    else (
      f"resize_small({round(size / spec.crop_fraction)})",
      f"center_crop({size})",
    )
  )
  names = tuple(map(str, range(model.num_classes)))
  if model.num_classes == len(class_names.imagenet_1k()):
    names = class_names.imagenet_1k()
  return inference.TrainedRun(
    config=config,
    class_names=names,
    image_shape=(size, size, 3),
    model=model,
    variables=variables,
    step=0,
    mesh=mesh,
  )


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
