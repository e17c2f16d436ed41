"""Published networks, opened as a `TrainedRun`."""

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

import jax

from jaxvision import data, files, metrics, parallel, trees, weights
from jaxvision.configs import default
from jaxvision.inference import evaluation, views
from jaxvision.training import setup
from jaxvision.training.setup import data_record
from jaxvision.training.setup.restore import TrainedRun
from jaxvision.weights import class_names as names_of_classes
from jaxvision.weights import image_preprocessing

_LOGGER = logging.getLogger(__name__)
_LISTED = 5  # classes in a message


def open_weights(
  path_or_url: str | os.PathLike[str],
  name: str,
  *,
  image_size: int | tuple[int, int] | None = None,
  names: str | os.PathLike[str] | None = None,
  like: str = "",
  **changes: Any,
) -> TrainedRun:
  """Loads weights for `inference.predict`, `evaluate` and probes.

  Images are resized, cropped and normalised as in `weights.preprocessing`; the
  preprocessing is logged. 1000 or 21,843 classes have ImageNet's names; other
  classes have numbers.

  Args:
    path_or_url: as for `weights.load`.
    name: name of the model.
    image_size: one side, or (height, width), in pixels; None for the size of
      the weights.
    names: a file with one class name per line, in the order of the logits; None
      for the names above.
    like: label of another preprocessing, as for `weights.preprocessing`.
    **changes: changes of the preprocessing, as for
      `image_preprocessing.changed`.

  Raises:
    FileNotFoundError, ConnectionError, ValueError: as `weights.load`. Also
      ValueError if the number of names is wrong, or for a run folder (use
      `inference.load_run`).
    trees.NotFinite: the weights have NaN or infinity.
  """
  if os.path.isdir(path_or_url):
    raise ValueError(f"{path_or_url} is a run; give --workdir {path_or_url}")
  if isinstance(image_size, int):
    image_size = (image_size, image_size)
  inputs = weights.preprocessing(
    path_or_url, name, like=like, image_size=image_size
  )
  inputs = image_preprocessing.changed(inputs, **changes)
  if inputs.channels not in (1, 3):
    raise ValueError(
      f"{files.printable(path_or_url)} is for images with {inputs.channels} "
      "channels, but image files have 3 or 1; use weights.load in Python"
    )
  mesh = parallel.make_mesh(jax.devices()[:1])
  model, variables = weights.load(
    path_or_url,
    name,
    image_size=inputs.image_size,
    channels=inputs.channels,
    sharding=parallel.replicated(mesh),
  )
  trees.check_finite(variables, what=str(path_or_url))
  _LOGGER.info("images: %s", image_preprocessing.describe(inputs))
  for note in inputs.notes:
    _LOGGER.warning("images: %s", note)
  config = default.get_config()
  config.model.name = name
  config.data.channels = inputs.channels
  config.data.mean, config.data.std = inputs.mean, inputs.std
  config.data.eval_transforms = image_preprocessing.transforms(inputs)
  class_names = _class_names(model.num_classes, names)
  image_shape = (*inputs.image_size, inputs.channels)
  return TrainedRun(
    config=config,
    class_names=class_names,
    image_shape=image_shape,
    model=model,
    variables=variables,
    task=setup.make_task(
      config, model, image_shape=image_shape, class_names=class_names
    ),
    step=0,
    mesh=mesh,
  )


def _class_names(
  num_classes: int, path: str | os.PathLike[str] | None
) -> tuple[str, ...]:
  if path is not None:
    names = names_of_classes.read(path)
    if len(names) != num_classes:
      raise ValueError(
        f"{path} has {len(names)} lines, and the weights have {num_classes} "
        "classes; give a file with one name per line"
      )
    return names
  if num_classes == len(names_of_classes.imagenet_1k()):
    return names_of_classes.imagenet_1k()
  if num_classes == names_of_classes.IMAGENET_21K_CLASSES:
    try:
      return names_of_classes.imagenet_21k()
    except (FileNotFoundError, ConnectionError) as error:
      _LOGGER.warning("the classes have numbers instead of names: %s", error)
  return tuple(map(str, range(num_classes)))


def evaluate(
  run: TrainedRun, kind: str, name: str, split: str, *, tta: str = ""
) -> metrics.Evaluation:
  """Evaluates a network on a split of any data set with its classes.

  Classes are matched by name. Their order may differ, and some may be missing.
  A task that does not use labels, such as captioning, accepts any classes.

  Args:
    run: from `open_weights` or `inference.load_run`.
    kind, name: as `data.kind` and `data.name` of a config.
    split: in the slicing syntax of TFDS.
    tta: test-time augmentation, as in `views.choose`.

  Raises:
    ValueError: the data set has a class that the network does not have, or the
      views of `tta` are unknown or do not fit to the network.
  """
  chosen = views.choose(run, tta)
  batches = make_batches(
    run,
    kind,
    name,
    split,
    size=views.batch_size(run, chosen),
    class_names=run.class_names if run.task.uses_labels else (),
    labels=_labels(run),
    chosen=chosen,
  )
  if run.workdir:
    data_record.say_trained_on(run.workdir, batches.examples.dataset)
  return evaluation.measure(run, batches, chosen)


def _labels(run: TrainedRun) -> str:
  """The kind of the labels with which a run is evaluated."""
  found = run.config.data.labels
  return "classes" if found == "none" and run.task.uses_labels else found


def make_batches(
  run: TrainedRun,
  kind: str,
  name: str,
  split: str,
  *,
  size: int,
  class_names: Sequence[str] = (),
  labels: str = "classes",
  chosen: views.Views | None = None,
) -> data.Batches:
  """Returns the batches of a split, with the network's evaluation transforms.

  Images are then resized to the size of the evaluation images, or of those that
  the views are made of, if needed.

  Args:
    run: from `open_weights` or `inference.load_run`.
    kind, name: as `data.kind` and `data.name` of a config.
    split: in the slicing syntax of TFDS.
    size: examples per batch.
    class_names: class names that define the labels; () for those of the data
      set.
    labels: as `data.labels` of a config.
    chosen: the views of test-time augmentation, with their transforms.

  Raises:
    ValueError: a class of the data set is not among `class_names`.
  """
  config = default.get_config()
  config.data.kind, config.data.name = kind, name
  config.data.labels = labels
  config.data.channels = run.image_shape[2]
  calls, shape = run.config.data.eval_transforms, run.input_shape
  if chosen:
    calls, shape = chosen.transforms, chosen.image_shape
  config.data.eval_transforms = (*calls, f"resize({shape[:2]})")
  config.evaluate.batch_size = size
  dataset = data.open_dataset(setup.make_source(config), split)
  if class_names:
    dataset = _relabelled(dataset, tuple(class_names))
  return setup.make_batches(config, dataset, train=False)


def _relabelled(
  dataset: data.Dataset, class_names: tuple[str, ...]
) -> data.Dataset:
  """The data set with the labels of the network, matched by class name."""
  if dataset.class_names == class_names:
    return dataset
  theirs = names_of_classes.readable(dataset.class_names)
  own = names_of_classes.readable(class_names)
  unknown = [name for name in theirs if name not in own]
  if unknown:
    raise ValueError(
      f"{dataset.name} has {len(unknown)} classes of {len(theirs)} that the "
      f"network does not have: {_listed(unknown)}; it has {len(own)}: "
      f"{_listed(own)}. Use the same class names for both"
      + (
        "; --class_names FILE gives the names of the classes of weights"
        if own == tuple(map(str, range(len(own))))
        else ""
      )
    )
  _LOGGER.info(
    "classes: %d of the network's %d, by their names", len(theirs), len(own)
  )
  dataset = dataclasses.replace(dataset, class_names=theirs)
  return data.relabel(dataset, class_names=own)


def _listed(names: Sequence[str]) -> str:
  more = ", ..." if len(names) > _LISTED else ""
  return ", ".join(map(files.printable, names[:_LISTED])) + more
