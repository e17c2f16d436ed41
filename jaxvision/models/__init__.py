"""Models by name: creation, options and published facts.

A model is a Linen module whose `__call__(images, *, train)` maps normalised
images (b, h, w, c) to float32 logits (b, num_classes). Each file is one paper
and ends with its table of variants; this file joins the tables. The name of the
user's own model is "my_model.py:create": a Linen module, or a function that
returns one, with the arguments `num_classes` and the options.
"""

import dataclasses
import fnmatch
import inspect
import typing
from typing import Any

import flax.linen as nn
from jax.typing import DTypeLike

from jaxvision import lookup
from jaxvision.models import (
  alexnet,
  bit,
  caption_decoder,
  dagan,
  dagan_small,
  efficientnet,
  linear,
  low_data_densenet,
  mixer,
  mlp,
  nasbench201,
  nasnet,
  resnet,
  shufflenet_v2,
  vgg,
  vit,
)

__all__ = [
  "VARIANTS",
  "ModelSpec",
  "caption_decoder",
  "create",
  "describe_options",
  "is_pair",
  "names",
  "options",
  "spec",
]

_NO_DEFAULT = inspect.Parameter.empty
VARIANTS = {
  **alexnet.VARIANTS,
  **bit.VARIANTS,
  **efficientnet.VARIANTS,
  **linear.VARIANTS,
  **mixer.VARIANTS,
  **mlp.VARIANTS,
  **nasbench201.VARIANTS,
  **nasnet.VARIANTS,
  **resnet.VARIANTS,
  **shufflenet_v2.VARIANTS,
  **vgg.VARIANTS,
  **vit.VARIANTS,
}
# Models without published accuracies, which are not in the list: pairs of a
# generator and a critic, which have no logits, and the classifier of their
# generated images.
UNLISTED = {
  **dagan.VARIANTS,
  **dagan_small.VARIANTS,
  **low_data_densenet.VARIANTS,
}


@dataclasses.dataclass(frozen=True)
class ModelSpec:
  """The published facts of a model.

  Attributes:
    name: as for `create`.
    image_size: native height and width, in pixels.
    mean: per channel (RGB), in units of pixels in [0, 1].
    std: per channel (RGB), in units of pixels in [0, 1].
    crop_fraction: image_size / size of the image before the crop, in
      evaluation.
    parameters: number of trainable parameters, with 1000 classes at the native
      size in RGB.
    gmacs: billions of multiply-accumulates of the forward pass of one image,
      with 1000 classes at the native size.
    paper: source of the hyper-parameters.
    top1: published accuracy on ImageNet's validation split, in percent.
    top1_source: source of the accuracy, and the weights.
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
  """Returns the model with this name.

  Args:
    name: one of `names()`, a key of `UNLISTED`, or "FILE.py:FUNCTION".
    num_classes: length of the logits.
    **options: attributes of the model's Linen module that replace those of the
      variant, such as `dtype="bfloat16"`.

  Raises:
    ValueError: the model or an option is unknown; the message has the nearest
      names.
  """
  if lookup.is_own(name):
    return _own(name, num_classes, options)
  variant = _variant(name)
  module = lookup.bind(
    variant["module"],
    {**variant["options"], **options},
    f"model {name}",
    reserved={"num_classes": "it is a separate argument"},
  )
  return module(num_classes=num_classes)


def options(name: str) -> dict[str, Any]:
  """Returns the options of a model, with their defaults.

  Args:
    name: as for `create`.

  Raises:
    ValueError: the model is unknown; the message has the nearest names.
  """
  if lookup.is_own(name):
    return lookup.defaults(lookup.find(name, {}, kind="model"))
  variant = _variant(name)
  return {**lookup.defaults(variant["module"]), **variant["options"]}


def spec(name: str) -> ModelSpec:
  """Returns the published facts of a model.

  Raises:
    ValueError: the model is unknown (the message has the nearest names), or it
      is the user's own model, without published facts.
  """
  if lookup.is_own(name):
    raise ValueError(
      f"{lookup.as_written(name)} is your own model, without a published "
      "image size, mean or std; give these values"
    )
  return ModelSpec(name=name, **_variant(name)["spec"])


def names(pattern: str = "*") -> list[str]:
  """Returns the sorted names of the classifiers that match a shell pattern."""
  return sorted(fnmatch.filter(VARIANTS, pattern))


def is_pair(model: nn.Module) -> bool:
  """Whether a model is a generator and a critic of pairs of images."""
  return all(hasattr(model, each) for each in ("generate", "criticize"))


def _own(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
  """Creates the user's own model, and checks its type and arguments."""
  written = f"model {lookup.as_written(name)}"
  make = lookup.bind(
    lookup.find(name, {}, kind="model"),
    options,
    written,
    reserved={"num_classes": "it is a separate argument"},
  )
  model = make(num_classes=num_classes)
  if not isinstance(model, nn.Module):
    raise ValueError(
      f"{written} returned {type(model).__name__}; expected a Linen module "
      "(flax.linen.Module)"
    )
  if getattr(model, "num_classes", None) != num_classes:
    raise ValueError(
      f"{written}: the module must have num_classes={num_classes} as an "
      "attribute; declare `num_classes: int` in it"
    )
  parameters = inspect.signature(type(model).__call__).parameters.values()
  kinds = {each.kind for each in parameters}
  takes_all = inspect.Parameter.VAR_KEYWORD in kinds
  if not takes_all and "train" not in {each.name for each in parameters}:
    raise ValueError(
      f"{written}: {type(model).__name__}.__call__ does not take `train`; "
      "declare it as __call__(self, images, *, train)"
    )
  return model


def describe_options(name: str) -> list[tuple[str, str, str]]:
  """Returns (option, type, default) of each option of `create`.

  Raises:
    ValueError: the model is unknown; the message has the nearest names.
  """
  if lookup.is_own(name):
    make, chosen = lookup.find(name, {}, kind="model"), {}
  else:
    variant = _variant(name)
    make, chosen = variant["module"], variant["options"]
  types = typing.get_type_hints(make)
  return [
    (
      each.name,
      _type_name(types.get(each.name, Any)),
      _written(chosen.get(each.name, each.default)),
    )
    for each in inspect.signature(make).parameters.values()
    if each.name not in ("num_classes", "parent", "name")
  ]


def _type_name(kind: Any) -> str:
  """Returns a type as text: "int" or "tuple[int, ...] | None"."""
  if kind is Any:
    return "any"
  if kind == DTypeLike:
    return "dtype"
  if isinstance(kind, type) and not typing.get_args(kind):
    return kind.__name__
  return str(kind).replace("typing.", "").replace("NoneType", "None")


def _written(default: Any) -> str:
  return "none, it is required" if default is _NO_DEFAULT else repr(default)


def _variant(name: str) -> dict[str, Any]:
  known = {**VARIANTS, **UNLISTED}
  if name not in known:
    raise ValueError(lookup.unknown("model", name, known))
  return known[name]
