"""A network as suites of evaluations see it, without its variables."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from jax.sharding import Mesh

from jaxvision import data

Tree = Any


@dataclasses.dataclass(frozen=True)
class Network:
  """A classifier.

  Attributes:
    model: model.apply(variables, images, train=False) -> logits (b, k).
    class_names: of the logits.
    image_shape: (h, w, c) of the images in evaluation.
    normalization: of the pixels.
    mesh: of the variables.
    labels: what the logits are: of "classes", of which an image has one, of
      "sets" of classes, or "numbers"; see `data.Dataset`.
  """

  model: nn.Module
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  normalization: data.Normalization
  mesh: Mesh
  labels: str = "classes"


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a suite measures.

  Attributes:
    metrics: finite numbers by name, for the log of a training.
    details: what `jaxvision evaluate --json` shows beside them: names, counts
      and lists.
  """

  metrics: Mapping[str, float]
  details: Mapping[str, Any]


# variables of the model -> what is measured
Evaluate = Callable[[Tree], Outcome]
# A suite on its data.
Suite = Callable[[Network], Evaluate]
