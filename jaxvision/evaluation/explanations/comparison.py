"""The suite that judges heat maps: which method finds what a network uses?

Measures of each method, the mean over the images:

  deletion   area under the probability of the predicted class while the most
             salient pixels are deleted; small is good
  insertion  the same while they are inserted; large is good
  pointing   accuracy of the pointing game for the true class, the mean over the
             classes; large is good. It needs masks or boxes.
  sanity     rank correlation of the maps of the network with those of the
             network whose layers are all random; near 0 is good

Two baselines are methods too: "centre", whose map falls with the distance from
the centre of the image, and "random". A method that does not beat them shows
nothing about the network.
"""

import collections
import functools
import logging
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import data, interpret, lookup, parallel
from jaxvision import variables as initial
from jaxvision.evaluation import imagenet9
from jaxvision.evaluation.explanations import (
  baselines,
  examples,
  judging,
  object_regions,
  pointing_game,
  randomization,
)
from jaxvision.evaluation.network import Evaluate, Network, Outcome, Suite
from jaxvision.lookup import ranges

Tree = Any

_LOGGER = logging.getLogger(__name__)
_ORIGINAL = "original"
_VARIANT_SPLITS = ("train", "validation", "test")
MEASURES = ("deletion", "insertion", "pointing", "sanity")


def suite(
  root: str,
  *,
  methods: tuple[str, ...] = ("gradcam", *baselines.NAMES),
  measures: tuple[str, ...] | None = None,
  split: str = "test",
  batch_size: ranges.Count = 16,
  step: ranges.Count | None = None,
  tolerance: ranges.Whole = pointing_game.TOLERANCE,
  smoothing: ranges.NonNegative = 0.0,
  boxes: str | None = None,
  foreground: tuple[int, int] = object_regions.FOREGROUND,
  stages: ranges.Count = 4,
  seed: ranges.Whole = 0,
) -> Suite:
  """The suite on the images of any data set.

  Images are resized to the input of the network, without a crop. Each process
  explains all of them on one of its devices.

  Args:
    root: NAME of TFDS, a folder of images, an .npz file, ...; of a folder that
      `jaxvision data backgrounds` has written, the original images are taken.
    methods: calls of `interpret.ATTRIBUTIONS`, "centre" and "random".
    measures: of `MEASURES`; None for all that the data allow.
    split: in the slicing syntax of TFDS, "test[:100]".
    batch_size: images that are explained together.
    step: pixels that change at a time; None for a 28th of the image.
    tolerance: pixels of the network's input by which objects are grown.
    smoothing: sigma of the smoothing of the maps in the pointing game, as a
      share of the longer side; 0.02 in the paper.
    boxes: a file of the boxes of the objects, as `data.read_boxes` reads it;
      None takes the field "segmentation_mask" of the data.
    foreground: least and largest value of a mask on the object.
    stages: of the cascade of random layers.
    seed: of random layers and random maps.

  Raises:
    FileNotFoundError: the data or the boxes do not exist.
    ValueError: a method or a measure is unknown, or does not fit to the network
      or to the data.
  """

  def make(network: Network) -> Evaluate:
    examples.check_labels(network)
    _check_methods(methods, network)
    opened = _open(root, split)
    if boxes is not None:
      opened = object_regions.with_boxes(opened, data.read_boxes(boxes))
    settings = judging.Settings(
      methods=methods,
      measures=_measures(measures, opened),
      step=step,
      tolerance=tolerance,
      smoothing=smoothing,
      foreground=foreground,
      seed=seed,
    )
    return _make_evaluate(network, opened, settings, stages, batch_size)

  return make


def _open(root: str, split: str) -> data.Dataset:
  """The data; of a folder of variants the original images, with their masks."""
  folder = pathlib.Path(root).expanduser()
  if split in _VARIANT_SPLITS and (folder / _ORIGINAL).is_dir():
    return data.open_variant(folder, _ORIGINAL, split=split)
  kind, name = data.kind_of(root)
  return data.open_dataset(data.Source(kind=kind, name=name), split)


def _check_methods(methods: Sequence[str], network: Network) -> None:
  known = (*interpret.ATTRIBUTIONS, *baselines.NAMES)
  if not methods or len(set(methods)) < len(methods):
    raise ValueError(
      f"methods are {tuple(methods)}; give at least one, and each of them once"
    )
  for each in methods:
    name = interpret.method_name(each)
    if name not in known and not lookup.is_own(each):
      raise ValueError(lookup.unknown("method of attribution", name, known))
  others = [each for each in methods if each not in baselines.NAMES]
  interpret.check_methods(
    others, network.model, image_shape=network.image_shape
  )


def _measures(
  given: Sequence[str] | None, opened: data.Dataset
) -> tuple[str, ...]:
  """The measures that are taken; those that are given must be possible."""
  for each in given or ():
    if each not in MEASURES:
      raise ValueError(lookup.unknown("measure", each, MEASURES))
  problem = _no_pointing_game(opened)
  if given is None:
    if problem:
      _LOGGER.info("no pointing game: %s", problem)
    return tuple(each for each in MEASURES if each != "pointing" or not problem)
  if not given:
    raise ValueError(f"no measure; give some of {', '.join(MEASURES)}")
  if "pointing" in given and problem:
    raise ValueError(f"the measure 'pointing' is not possible: {problem}")
  return tuple(given)


def _no_pointing_game(opened: data.Dataset) -> str:
  """The reason why data have no pointing game; "" if they have one."""
  if opened.label_kind != "classes":
    return (
      f"{opened.name} has no class for each image (data.labels="
      f"{opened.label_kind!r}); use data with a class for each image"
    )
  if object_regions.FIELD not in opened.fields():
    return (
      f"{opened.name} has no field {object_regions.FIELD!r}; use data with "
      "masks, or give a file of boxes: boxes='boxes.csv'"
    )
  return ""


def _make_evaluate(
  network: Network,
  opened: data.Dataset,
  settings: judging.Settings,
  stages: int,
  batch_size: int,
) -> Evaluate:
  """Makes evaluate(variables of the model) -> Outcome."""
  pointing = "pointing" in settings.measures
  batches = examples.make_batches(
    opened, network, batch_size=batch_size, regions=pointing
  )
  answers = None
  if pointing:
    answers = imagenet9.answer_map(network.class_names, opened.class_names)
  layers = []
  if "sanity" in settings.measures:
    layers = randomization.layers_from_the_top(
      network.model, image_shape=network.image_shape
    )
    layers = randomization.cascade(layers, stages=stages)

  read = examples.make_reader(
    network, foreground=settings.foreground, tolerance=settings.tolerance
  )
  put = functools.partial(jax.device_put, device=jax.local_devices()[0])
  # Compiled and drawn once, for all evaluations of a training.
  draw = functools.cache(lambda: put(_draw(network, settings.seed)))

  def evaluate(trained: Tree) -> Outcome:
    of = judging.Trained(
      network,
      put(jax.tree.map(parallel.whole, trained)),
      drawn=draw() if layers else None,
      stages=layers,
      answers=answers,
    )
    found = _measured(of, read(of.variables, batches), settings)
    return _outcome(found, of, settings, opened.class_names)

  return evaluate


def _draw(network: Network, seed: int) -> Tree:
  return initial.draw(network.model, image_shape=network.image_shape, seed=seed)


def _measured(
  of: judging.Trained,
  batches: Iterable[examples.Examples],
  settings: judging.Settings,
) -> dict[Any, np.ndarray]:
  """{(method, measure): values of all images}, "labels" and "regions"."""
  found = collections.defaultdict(list)
  for batch in batches:
    for method in settings.methods:
      measured = judging.measure(method, of, batch, settings)
      for name, values in measured.items():
        found[method, name].append(values[..., : batch.count])
    if batch.regions is not None:
      found["labels"].append(batch.labels[: batch.count])
      share = batch.regions.mean(axis=(1, 2))
      found["regions"].append(share[: batch.count])
  return {key: np.concatenate(values, axis=-1) for key, values in found.items()}


def _outcome(
  found: Mapping[Any, np.ndarray],
  of: judging.Trained,
  settings: judging.Settings,
  class_names: Sequence[str],
) -> Outcome:
  """The means over the images, and what they consist of."""
  details: dict[str, Any] = {
    "images": len(found[settings.methods[0], "constant"])
  }
  if "labels" in found:
    details |= _about_regions(found, settings)
  if of.stages:
    details["random_layers"] = [len(each) for each in of.stages]
  metrics, by_method = {}, {}
  for method in settings.methods:
    about = {"constant_maps": int(found[method, "constant"].sum())}
    for name in settings.measures:
      value, more = _mean(name, found[method, name], found, class_names)
      metrics[f"{lookup.as_written(method)}/{name}"] = value
      about |= more
    by_method[lookup.as_written(method)] = about
  return Outcome(metrics, {**details, "methods": by_method})


def _about_regions(
  found: Mapping[Any, np.ndarray], settings: judging.Settings
) -> dict[str, Any]:
  known = found["labels"] >= 0
  if not known.any():
    low, high = settings.foreground
    raise ValueError(
      f"no mask has a value from {low} to {high}, so there is no object to "
      "point at; choose other values with foreground=(LEAST, MOST)"
    )
  return {
    "images_with_regions": int(known.sum()),
    # The accuracy of a uniformly random point.
    "region_share": float(found["regions"][known].mean()),
  }


def _mean(
  name: str,
  values: np.ndarray,
  found: Mapping[Any, np.ndarray],
  class_names: Sequence[str],
) -> tuple[float, dict[str, Any]]:
  """A measure, and details of it."""
  if name == "pointing":
    known = found["labels"] >= 0
    by_class = pointing_game.accuracies(values[known], found["labels"][known])
    named = {class_names[label]: each for label, each in by_class.items()}
    return float(np.mean(list(by_class.values()))), {"classes": named}
  if name == "sanity":
    stages = values.mean(axis=1).tolist()
    return stages[-1], {"stages": stages}
  return float(values.mean()), {}
