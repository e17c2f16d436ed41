"""The images that are explained, with their logits and regions."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxvision import data
from jaxvision.evaluation.explanations import object_regions, pointing_game
from jaxvision.evaluation.network import Network

Tree = Any


@dataclasses.dataclass(frozen=True)
class Examples:
  """Some images of a split, without unreadable images.

  Copies of the last image fill a batch, so that one shape is compiled.

  Attributes:
    count: number of images without the copies, which are at the end.
    images: (b, h, w, c) float32, normalised.
    positions: (b,) of the examples in the split.
    logits: (b, k) float32.
    labels: (b,) int of the data; -1 for an image without a region.
    regions: (b, h, w) bool, already grown; None without pointing game.
  """

  count: int
  images: np.ndarray
  positions: np.ndarray
  logits: np.ndarray
  labels: np.ndarray | None = None
  regions: np.ndarray | None = None


def check_labels(network: Network) -> None:
  """Raises ValueError for a network without one class for each image."""
  if network.labels in ("sets", "numbers"):
    raise ValueError(
      f"the network predicts {network.labels} (data.labels), and the measures "
      "read the probability of one class among all; give a network that "
      "predicts one class for each image"
    )


def make_batches(
  split: data.Dataset, network: Network, *, batch_size: int, regions: bool
) -> data.Batches:
  """The batches of a split, resized to the input of a network.

  Args:
    split: of any data.
    network: the network.
    batch_size: images of a batch.
    regions: whether the batches have the masks of the objects.
  """
  height, width, channels = network.image_shape
  batches = data.make_batches(
    split,
    batch_size=min(batch_size, split.num_examples),
    transforms=(f"resize(({height}, {width}))",),
    channels=channels,
  )
  if not regions:
    return batches
  field = ((height, width, 1), np.uint8)
  return batches.with_fields({object_regions.FIELD: field})


def make_reader(
  network: Network, *, foreground: tuple[int, int], tolerance: int
) -> Callable[[Tree, data.Batches], Iterator[Examples]]:
  """Makes read(variables on one device, batches) -> the examples, by batch.

  `read` raises ValueError if the model does not return a logit for each class.

  Args:
    network: the network.
    foreground: least and largest value of a mask on the object.
    tolerance: pixels by which regions are grown.
  """

  @jax.jit
  def apply(variables: Tree, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
    images = data.normalize(pixels, network.normalization)
    return images, network.model.apply(variables, images, train=False)

  def read(variables: Tree, batches: data.Batches) -> Iterator[Examples]:
    for number, batch in enumerate(batches.iterate(0, batches.num_batches)):
      rows = np.flatnonzero(batch["mask"] > 0)
      if not (count := len(rows)):
        continue
      rows = rows[np.minimum(np.arange(len(batch["mask"])), count - 1)]
      images, logits = apply(variables, batch["image"])
      _check_logits(logits, (len(images), len(network.class_names)))
      found = Examples(
        count=count,
        images=np.asarray(images, np.float32)[rows],
        positions=number * batches.batch_size + rows,
        logits=np.asarray(logits, np.float32)[rows],
      )
      if object_regions.FIELD in batch:
        masks = batch[object_regions.FIELD][rows]
        found = _with_regions(
          found,
          object_regions.regions(masks, foreground=foreground),
          labels=batch["label"][rows],
          tolerance=tolerance,
        )
      yield found

  return read


def _check_logits(logits: Any, expected: tuple[int, int]) -> None:
  shape = getattr(logits, "shape", type(logits).__name__)
  if shape != expected:
    raise ValueError(
      f"the model returns {shape} for {expected[0]} images; expected logits "
      f"{expected}: give a classifier"
    )


def _with_regions(
  found: Examples, regions: np.ndarray, *, labels: np.ndarray, tolerance: int
) -> Examples:
  return dataclasses.replace(
    found,
    labels=np.where(regions.any(axis=(1, 2)), labels, -1),
    regions=pointing_game.grown(regions, tolerance=tolerance),
  )
