"""AlexNet compared with torchvision's, or with torch's layers."""

import collections
import functools

from parity.case import CLASSES, Case, Count

_RULES = ((r"^(features|classifier)\.", r"\1_"),)
_CLASSES_OF_IMAGENET = 1000


def _classifier(hidden):
  from torch import nn

  layers, inputs = [], 256 * 36
  for width in hidden:
    layers += [nn.Dropout(), nn.Linear(inputs, width), nn.ReLU()]
    inputs = width
  return nn.Sequential(*layers, nn.Linear(inputs, CLASSES))


def _torchvision(variables, images, *, hidden=None):
  from parity import torch_side

  module = torch_side.import_torchvision().alexnet(num_classes=CLASSES)
  if hidden is not None:
    module.classifier = _classifier(hidden)
  variables = torch_side.flattened_by_channel(
    variables, layer="classifier_1", positions=36
  )
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _torchvision_small(variables, images):
  """The network for 32 pixels: another first layer, other poolings, one Dense.

  The rest is torchvision's.
  """
  from torch import nn

  from parity import torch_side

  module = torch_side.import_torchvision().alexnet(num_classes=CLASSES)
  module.features[0] = nn.Conv2d(3, 64, 11, stride=4, padding=5)
  for i in (2, 5, 12):
    module.features[i] = nn.MaxPool2d(2)
  module.avgpool = nn.AdaptiveAvgPool2d(1)
  module.classifier = nn.Sequential(nn.Linear(256, CLASSES))
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _two_towers(*, groups=2, norm="local_response", hidden=(4096, 4096)):
  """The network of 2012, built from torch's layers; 1000 classes."""
  from torch import nn

  def conv(i, inputs, outputs, kernel, **options):
    modules[f"conv{i}"] = nn.Conv2d(inputs, outputs, kernel, **options)
    if norm == "batch_norm":
      modules[f"norm{i}"] = nn.BatchNorm2d(outputs)
    modules[f"relu{i}"] = nn.ReLU()
    if norm == "local_response" and i <= 2:
      # torch divides alpha by the number of channels.
      modules[f"response{i}"] = nn.LocalResponseNorm(5, alpha=5e-4, k=2)
    if i in (1, 2, 5):
      modules[f"pool{i}"] = nn.MaxPool2d(3, 2)

  modules = {}
  conv(1, 3, 96, 11, stride=4)
  conv(2, 96, 256, 5, padding=2, groups=groups)
  conv(3, 256, 384, 3, padding=1)
  conv(4, 384, 384, 3, padding=1, groups=groups)
  conv(5, 384, 256, 3, padding=1, groups=groups)
  modules["flatten"] = nn.Flatten()
  for i, (inputs, outputs) in enumerate(
    zip((256 * 36, *hidden), hidden, strict=False)
  ):
    modules[f"fc{6 + i}"] = nn.Linear(inputs, outputs)
    modules[f"relu_of_fc{6 + i}"] = nn.ReLU()
    modules[f"dropout{6 + i}"] = nn.Dropout()
  modules["fc8"] = nn.Linear(hidden[-1], _CLASSES_OF_IMAGENET)
  return nn.Sequential(collections.OrderedDict(modules))


def _of_2012(variables, images, **options):
  from torch import nn

  from parity import torch_side

  module = _two_towers(**options)
  module.fc8 = nn.Linear(module.fc8.in_features, CLASSES)
  variables = torch_side.flattened_by_channel(
    variables, layer="fc6", positions=36
  )
  torch_side.fill(module, variables, rules=())
  return torch_side.logits(module, images)


def _count_torchvision():
  from parity import torch_side

  return torch_side.count(
    torch_side.import_torchvision().alexnet, image_size=224
  )


def _count_of_2012():
  from parity import torch_side

  return torch_side.count(_two_towers, image_size=227)


def _case(name, reference, image_size, *, golden=False, **options):
  reference = functools.partial(reference, **options)
  return Case(name, reference, image_size, options, golden)


_NARROW = {"hidden": (24, 16)}
CASES = {
  "alexnet": _case("alexnet", _torchvision, 224),
  "alexnet_of_63_pixels": _case(
    "alexnet", _torchvision, 63, golden=True, **_NARROW
  ),
  "alexnet_of_300_pixels": _case("alexnet", _torchvision, 300, **_NARROW),
  "alexnet_small": Case(
    "alexnet", _torchvision_small, 32, options={"stem": "small"}
  ),
  "alexnet_2012": _case("alexnet_2012", _of_2012, 227),
  "alexnet_2012_narrow": _case(
    "alexnet_2012", _of_2012, 227, golden=True, **_NARROW
  ),
  "alexnet_2012_of_244_pixels": _case("alexnet_2012", _of_2012, 244, **_NARROW),
  "alexnet_2012_batch_norm": _case(
    "alexnet_2012", _of_2012, 227, groups=1, norm="batch_norm", **_NARROW
  ),
}
COUNTS = {
  "alexnet": Count("torchvision 0.28.0, alexnet", _count_torchvision),
  "alexnet_2012": Count(
    "torch 2.13.0, its layers in the order of the paper", _count_of_2012
  ),
}
