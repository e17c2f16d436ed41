"""ResNet compared with torchvision's and timm's."""

import functools

from parity.case import Case, Count

_RULES = (
  (r"^(layer\d)\.(\d+)\.", r"\1_\2/"),
  (r"downsample\.0", "downsample_conv"),
  (r"downsample\.1", "downsample_bn"),
)
# timm's: deep stem, average pooling before the shortcut, gate.
_TIMM_RULES = (
  (r"^conv1\.0\.", "conv1_0."),
  (r"^conv1\.1\.", "bn1_0."),
  (r"^conv1\.3\.", "conv1_1."),
  (r"^conv1\.4\.", "bn1_1."),
  (r"^conv1\.6\.", "conv1_2."),
  (r"se\.fc1", "se/conv_reduce"),
  (r"se\.fc2", "se/conv_expand"),
)
_POOLED_RULES = (
  (r"downsample\.1", "downsample_conv"),
  (r"downsample\.2", "downsample_bn"),
)


def _torchvision(variables, images, *, name):
  from parity import torch_side

  module = getattr(torch_side.import_torchvision(), name)(num_classes=10)
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _original(variables, images):
  """Strides on the first 1x1 convolution, as in He et al. 2016."""
  from parity import torch_side

  module = torch_side.import_torchvision().resnet50(num_classes=10)
  for stage in (module.layer2, module.layer3, module.layer4):
    stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _timm(variables, images, *, name, **options):
  from parity import torch_side

  module = torch_side.import_timm().create_model(
    name, num_classes=10, **options
  )
  rules = (*_TIMM_RULES, *_RULES)
  if name.endswith("d"):
    rules = (*_TIMM_RULES, *_RULES[:1], *_POOLED_RULES)
  torch_side.fill(module, variables, rules=rules)
  return torch_side.logits(module, images)


def _count_torchvision(name):
  from parity import torch_side

  return torch_side.count(
    getattr(torch_side.import_torchvision(), name), image_size=224
  )


def _count_timm(name):
  from parity import torch_side

  return torch_side.count(
    lambda: torch_side.import_timm().create_model(name), image_size=224
  )


CASES = {
  "resnet18": Case(
    "resnet18",
    functools.partial(_torchvision, name="resnet18"),
    image_size=64,
    golden=True,
  ),
  "resnet50_of_77_pixels": Case(
    "resnet50",
    functools.partial(_torchvision, name="resnet50"),
    image_size=77,
  ),
  "resnet50_scanned": Case(
    "resnet50",
    functools.partial(_torchvision, name="resnet50"),
    image_size=64,
    options={"scan_layers": True},
  ),
  "resnet50_with_early_strides": Case(
    "resnet50", _original, image_size=64, options={"stride": "1x1"}
  ),
  "resnet50c": Case(
    "resnet50c", functools.partial(_timm, name="resnet50c"), image_size=64
  ),
  "resnet50d_of_95_pixels": Case(
    "resnet50d", functools.partial(_timm, name="resnet50d"), image_size=95
  ),
  "resnet18d": Case(
    "resnet18",
    functools.partial(_timm, name="resnet18d"),
    image_size=64,
    options={"stem": "deep", "shortcut": "pool"},
    golden=True,
    against="timm 1.0.31, resnet18d",
  ),
  "resnet50_squeeze_excite": Case(
    "resnet50",
    functools.partial(_timm, name="seresnet50"),
    image_size=64,
    options={"squeeze_excite": 16},
    against="timm 1.0.31, seresnet50",
  ),
  "resnet50_blur": Case(
    "resnet50",
    functools.partial(_timm, name="resnetblur50"),
    image_size=64,
    options={"stride": "blur"},
    against="timm 1.0.31, resnetblur50",
  ),
  "resnet50_group_norm": Case(
    "resnet50",
    functools.partial(_timm, name="resnet50_gn"),
    image_size=64,
    options={"norm": "group_norm"},
    against="timm 1.0.31, resnet50_gn",
  ),
}
COUNTS = {
  name: Count(
    f"torchvision 0.28.0, {name}",
    functools.partial(_count_torchvision, name),
  )
  for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
} | {
  name: Count(f"timm 1.0.31, {theirs}", functools.partial(_count_timm, theirs))
  for name, theirs in (
    ("resnet50b", "resnet50"),
    ("resnet50c", "resnet50c"),
    ("resnet50d", "resnet50d"),
    ("resnet101b", "resnet101"),
    ("resnet101c", "resnet101c"),
    ("resnet101d", "resnet101d"),
    ("resnet152b", "resnet152"),
    ("resnet152c", "resnet152c"),
    ("resnet152d", "resnet152d"),
  )
}
