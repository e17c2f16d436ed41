"""The door to all models: create one by name, look up what a name stands for.

A model is a Linen module whose `__call__(images, *, train)` maps normalised
images (b, h, w, c) to float32 logits (b, num_classes). Each file here is one
paper and ends with its table of variants; the door only joins the tables.
"""

import dataclasses
import fnmatch
from typing import Any

import flax.linen as nn

from jaxvision import spelling
from jaxvision.models import (
  alexnet,
  bit,
  efficientnet,
  linear,
  mixer,
  mlp,
  nasnet,
  resnet,
  shufflenet_v2,
  vgg,
  vit,
)

VARIANTS = {
  **alexnet.VARIANTS,
  **bit.VARIANTS,
  **efficientnet.VARIANTS,
  **linear.VARIANTS,
  **mixer.VARIANTS,
  **mlp.VARIANTS,
  **nasnet.VARIANTS,
  **resnet.VARIANTS,
  **shufflenet_v2.VARIANTS,
  **vgg.VARIANTS,
  **vit.VARIANTS,
}


@dataclasses.dataclass(frozen=True)
class ModelSpec:
  """What a name stands for as published.

  Attributes:
    name: as `create` takes it.
    image_size: native height and width, in pixels.
    mean: per channel (RGB), in units of pixels in [0, 1].
    std: per channel (RGB), in units of pixels in [0, 1].
    crop_fraction: image_size / size of the image it is cropped from at
      evaluation.
    parameters: trainable ones, with 1000 classes at the native size in RGB.
    gmacs: billions of multiply-accumulates of one image's forward pass, with
      1000 classes at the native size.
    paper: where the hyper-parameters are from.
    top1: published accuracy on ImageNet's validation split, in percent.
    top1_source: who published it, of which weights.
  """

  name: str
  image_size: int
  mean: tuple[float, ...]
  std: tuple[float, ...]
  crop_fraction: float
  parameters: int
  gmacs: float
  paper: str
  top1: float | None = None
  top1_source: str = ""


def create(name: str, *, num_classes: int, **options: Any) -> nn.Module:
  """Returns the model called `name`.

  Args:
    name: one of `names()`.
    num_classes: length of the logits.
    **options: attributes of the model's Linen module, in place of the
      variant's; `dtype="bfloat16"` for one.

  Raises:
    ValueError: if the model or an option does not exist; names the nearest.
  """
  variant = _variant(name)
  module = spelling.bind(
    variant["module"],
    {**variant["options"], **options},
    f"model {name}",
    reserved={"num_classes": "it is an argument of its own"},
  )
  return module(num_classes=num_classes)


def spec(name: str) -> ModelSpec:
  """Returns what is known of the model called `name`.

  Raises:
    ValueError: if there is no such model; names the nearest.
  """
  return ModelSpec(name=name, **_variant(name)["spec"])


def names(pattern: str = "*") -> list[str]:
  """Returns the sorted names of the models that match a shell pattern."""
  return sorted(fnmatch.filter(VARIANTS, pattern))


def _variant(name: str) -> dict[str, Any]:
  if name not in VARIANTS:
    raise ValueError(spelling.unknown("model", name, VARIANTS))
  return VARIANTS[name]
