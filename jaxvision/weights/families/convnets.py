"""Layouts of AlexNet, VGG, ResNet, ShuffleNet v2 and NASNet.

All are torch state dicts of torchvision or timm. jaxvision's names follow them.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvision.weights import layout
from jaxvision.weights.layout import Layout, Place, Shape

Arrays = Mapping[str, np.ndarray]

_NUMBERED = ((r"_(\d+)", r".\1"),)


def _flat(path: str, shape: Shape, *, first: str, side: int) -> Place:
  """AlexNet and VGG of torchvision; `first` is the Dense after flattening."""
  place = layout.torch_place(path, shape, rules=_NUMBERED)
  if path == f"params/{first}/kernel":
    return layout.flattened(place.key, shape, side=side)
  return place


def _timm_vgg(path: str, shape: Shape) -> Place:
  """In timm, the hidden layers are convolutions; the first one is 7x7."""
  rules = (
    (r"^classifier_0$", "pre_logits.fc1"),
    (r"^classifier_3$", "pre_logits.fc2"),
    (r"^classifier_6$", "head.fc"),
    *_NUMBERED,
  )
  place = layout.torch_place(path, shape, rules=rules)
  if not place.key.endswith("fc1.weight") and not place.key.endswith(
    "fc2.weight"
  ):
    return place
  side = 7 if place.key.endswith("fc1.weight") else 1
  split = (side, side, shape[0] // side**2, shape[1])
  return Place(place.key, (*split[:1:-1], side, side), split, (3, 2, 0, 1))


_RESNET = (
  (r"^(layer\d)_(\d+)/", r"\1.\2."),
  (r"^conv1_0$", "conv1.0"),
  (r"^bn1_0$", "conv1.1"),
  (r"^conv1_1$", "conv1.3"),
  (r"^bn1_1$", "conv1.4"),
  (r"^conv1_2$", "conv1.6"),
  (r"se/conv_reduce", "se.fc1"),
  (r"se/conv_expand", "se.fc2"),
)


def _resnet(path: str, shape: Shape, *, pooled: bool) -> Place:
  """With average pooling in the shortcut, the pooling is its module 0."""
  first = 1 if pooled else 0
  rules = (
    *_RESNET,
    ("downsample_conv", f"downsample.{first}"),
    ("downsample_bn", f"downsample.{first + 1}"),
  )
  return layout.torch_place(path, shape, rules=rules)


def _resnet_options(arrays: Arrays, name: str) -> dict[str, Any]:
  options: dict[str, Any] = {}
  if "conv1.0.weight" in arrays:
    options["stem"] = "deep"
  elif "conv1.weight" in arrays:
    options |= layout.stem_options(arrays["conv1.weight"].shape[-1])
  if "layer2.0.downsample.2.weight" in arrays:
    options["shortcut"] = "pool"
  if "layer1.0.se.fc1.weight" in arrays:
    reduced, width = arrays["layer1.0.se.fc1.weight"].shape[:2]
    options["squeeze_excite"] = width // reduced
  return options


_NASNET = ((r"(?<!final_path)_(conv|bn|(depth|point)wise_conv2d)$", r".\1"),)


def _by(rules: layout.Rules) -> functools.partial:
  return functools.partial(layout.torch_place, rules=rules)


_TORCH = {"suffix": ".safetensors", "clean": layout.torch_clean}
LAYOUTS = (
  Layout(
    "torchvision",
    models=("alexnet",),
    sign=r"classifier\.4\.weight",
    place=functools.partial(_flat, first="classifier_1", side=6),
    head="classifier_6",
    stem=("features_0",),
    **_TORCH,
  ),
  Layout(
    "torchvision",
    models=("vgg*",),
    fixed={"pool_size": 7},
    sign=r"classifier\.0\.weight",
    place=functools.partial(_flat, first="classifier_0", side=7),
    head="classifier_6",
    stem=("features_0",),
    **_TORCH,
  ),
  Layout(
    "timm",
    models=("vgg*",),
    fixed={"pool_size": 7},
    sign=r"pre_logits\.fc1\.weight",
    place=_timm_vgg,
    head="classifier_6",
    stem=("features_0",),
    **_TORCH,
  ),
  Layout(
    "timm, torchvision",
    models=("resnet*",),
    sign=r"layer1\.0\.conv1\.weight",
    place=functools.partial(_resnet, pooled=False),
    head="fc",
    stem=("conv1_0", "conv1"),
    options=_resnet_options,
    **_TORCH,
  ),
  Layout(
    "timm, with pooled shortcuts",
    models=("resnet*",),
    sign=r"layer2\.0\.downsample\.2\.weight",
    place=functools.partial(_resnet, pooled=True),
    head="fc",
    stem=("conv1_0", "conv1"),
    options=_resnet_options,
    **_TORCH,
  ),
  Layout(
    "torchvision",
    models=("shufflenet_v2_*",),
    sign=r"stage2\.0\.branch1\.0\.weight",
    place=_by(((r"^(stage\d)_(\d+)/", r"\1.\2."), *_NUMBERED)),
    head="fc",
    stem=("conv1_0", "conv1"),
    options=lambda arrays, name: {"layout": "torchvision"},
    **_TORCH,
  ),
  Layout(
    "timm",
    models=("nasnet_a_large",),
    sign=r"cell_stem_0\.conv_1x1\.conv\.weight",
    place=_by(_NASNET),
    head="last_linear",
    stem=("conv0_conv",),
    options=lambda arrays, name: {"border": "zeros_in_means"},
    **_TORCH,
  ),
)
