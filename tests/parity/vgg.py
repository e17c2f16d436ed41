"""VGG compared with torchvision's, partly with narrower Dense layers."""

import functools

from parity.case import CLASSES, Case, Count

NAMES = tuple(
  f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")
)
_RULES = ((r"^(features|classifier)\.", r"\1_"),)
_CIFAR = {"pool_size": 1, "hidden": ()}


def _classifier(pool_size, hidden):
  from torch import nn

  layers, inputs = [], 512 * pool_size**2
  for width in hidden:
    layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout()]
    inputs = width
  return nn.Sequential(*layers, nn.Linear(inputs, CLASSES))


def _torchvision(variables, images, *, name, pool_size=7, hidden=None):
  import torch

  from parity import torch_side

  build = getattr(torch_side.import_torchvision(), name)
  module = build(num_classes=CLASSES, init_weights=False)
  if hidden is not None:
    module.avgpool = torch.nn.AdaptiveAvgPool2d(pool_size)
    module.classifier = _classifier(pool_size, hidden)
  variables = torch_side.flattened_by_channel(
    variables, layer="classifier_0", positions=pool_size**2
  )
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _count(name):
  from parity import torch_side

  return torch_side.count(
    getattr(torch_side.import_torchvision(), name), image_size=224
  )


def _case(name, image_size, *, golden=False, **options):
  reference = functools.partial(_torchvision, name=name, **options)
  return Case(name, reference, image_size, options, golden)


CASES = {
  "vgg11_of_32_pixels": _case("vgg11", 32, hidden=(24, 16), golden=True),
  "vgg11_of_300_pixels": _case("vgg11", 300, hidden=(24, 16)),
  "vgg13_bn_for_cifar": _case("vgg13_bn", 32, golden=True, **_CIFAR),
  "vgg16": _case("vgg16", 224),
  "vgg16_bn_of_75_pixels": _case("vgg16_bn", 75, hidden=(24, 16)),
  "vgg19_of_161_pixels": _case("vgg19", 161, hidden=(24, 16)),
}
COUNTS = {
  name: Count(f"torchvision 0.28.0, {name}", functools.partial(_count, name))
  for name in NAMES
}
