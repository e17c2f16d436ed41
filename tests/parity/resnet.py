"""ResNet beside torchvision's."""

import functools

from parity.case import Case, Count

_RULES = (
  (r"^(layer\d)\.(\d+)\.", r"\1_\2/"),
  (r"downsample\.0", "downsample_conv"),
  (r"downsample\.1", "downsample_bn"),
)


def _torchvision(variables, images, *, name):
  from parity import torch_side

  module = getattr(torch_side.import_torchvision(), name)(num_classes=10)
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _count(name):
  from parity import torch_side

  return torch_side.count(
    getattr(torch_side.import_torchvision(), name), image_size=224
  )


CASES = {
  "resnet18": Case(
    "resnet18",
    functools.partial(_torchvision, name="resnet18"),
    image_size=64,
    golden=True,
  ),
}
COUNTS = {
  name: Count(f"torchvision 0.28.0, {name}", functools.partial(_count, name))
  for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
}
