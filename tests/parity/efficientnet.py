"""EfficientNet compared with timm's and torchvision's."""

import functools

from parity.case import Case, Count

_TIMM_RULES = (
  (r"^blocks\.(\d)\.(\d+)\.", r"blocks_\1_\2/"),
  (r"\bse\.", "se/"),
)
# Layers are numbered by their position in the block: the first stage has no
# expanding convolution, so there the others come one earlier.
_TORCHVISION_RULES = (
  (r"^features\.0\.0", "conv_stem"),
  (r"^features\.0\.1", "bn1"),
  (r"^features\.8\.0", "conv_head"),
  (r"^features\.8\.1", "bn2"),
  (r"^classifier\.1", "classifier"),
  (r"block\.\d\.fc1", "se/conv_reduce"),
  (r"block\.\d\.fc2", "se/conv_expand"),
  (r"^(features\.1\.\d+)\.block\.0\.0", r"\1.conv_dw"),
  (r"^(features\.1\.\d+)\.block\.0\.1", r"\1.bn1"),
  (r"^(features\.1\.\d+)\.block\.2\.0", r"\1.conv_pw"),
  (r"^(features\.1\.\d+)\.block\.2\.1", r"\1.bn2"),
  (r"block\.0\.0", "conv_pw"),
  (r"block\.0\.1", "bn1"),
  (r"block\.1\.0", "conv_dw"),
  (r"block\.1\.1", "bn2"),
  (r"block\.3\.0", "conv_pwl"),
  (r"block\.3\.1", "bn3"),
  (r"^features\.(\d)\.(\d+)\.", lambda m: f"blocks_{int(m[1]) - 1}_{m[2]}/"),
)
_SYMMETRIC = {"padding": "symmetric"}
# torchvision's networks up to B4 have the epsilon that torch has by default.
_TORCHVISION = _SYMMETRIC | {"norm_epsilon": 1e-5}


def _timm(variables, images, *, name, stride=2):
  from parity import torch_side

  module = torch_side.import_timm().create_model(name, num_classes=10)
  module.conv_stem.stride = (stride, stride)
  torch_side.fill(module, variables, rules=_TIMM_RULES)
  return torch_side.logits(module, images)


def _torchvision(variables, images, *, name):
  from parity import torch_side

  module = getattr(torch_side.import_torchvision(), name)(num_classes=10)
  torch_side.fill(module, variables, rules=_TORCHVISION_RULES)
  return torch_side.logits(module, images)


def _count(name, *, image_size):
  from parity import torch_side

  return torch_side.count(
    getattr(torch_side.import_torchvision(), name), image_size=image_size
  )


def _count_lite(name, *, image_size):
  from parity import torch_side

  build = functools.partial(torch_side.import_timm().create_model, name)
  return torch_side.count(build, image_size=image_size)


def _beside_timm(model, *, stride=2, prefix="tf_", **fields):
  name = f"{prefix}{model}"
  reference = functools.partial(_timm, name=name, stride=stride)
  return Case(model, reference, against=f"timm 1.0.31, {name}", **fields)


def _beside_torchvision(model, **fields):
  reference = functools.partial(_torchvision, name=model)
  return Case(model, reference, **fields)


CASES = {
  "efficientnet_b0": _beside_timm(
    "efficientnet_b0", image_size=64, gain=2.0, golden=True
  ),
  "efficientnet_b0_of_224_pixels": _beside_timm(
    "efficientnet_b0", image_size=224, gain=2.0
  ),
  "efficientnet_b0_of_75_pixels": _beside_timm(
    "efficientnet_b0", image_size=75, gain=2.0
  ),
  "efficientnet_b0_small_stem": _beside_timm(
    "efficientnet_b0",
    stride=1,
    image_size=32,
    options={"stem": "small"},
    gain=2.0,
  ),
  "efficientnet_b7": _beside_timm("efficientnet_b7", image_size=64),
  "efficientnet_b0_torchvision": _beside_torchvision(
    "efficientnet_b0", image_size=64, options=_TORCHVISION, gain=2.0
  ),
  "efficientnet_b0_torchvision_of_75_pixels": _beside_torchvision(
    "efficientnet_b0", image_size=75, options=_TORCHVISION, gain=2.0
  ),
  "efficientnet_b1_torchvision": _beside_torchvision(
    "efficientnet_b1", image_size=64, options=_TORCHVISION, gain=2.0
  ),
  "efficientnet_b5_torchvision": _beside_torchvision(
    "efficientnet_b5", image_size=64, options=_SYMMETRIC, gain=1.7
  ),
  "efficientnet_lite0": _beside_timm(
    "efficientnet_lite0", image_size=64, golden=True
  ),
  "efficientnet_lite0_of_224_pixels": _beside_timm(
    "efficientnet_lite0", image_size=224
  ),
  "efficientnet_lite0_of_75_pixels": _beside_timm(
    "efficientnet_lite0", image_size=75
  ),
  "efficientnet_lite0_symmetric": _beside_timm(
    "efficientnet_lite0", image_size=64, prefix="", options=_TORCHVISION
  ),
  **{
    f"efficientnet_lite{n}": _beside_timm(
      f"efficientnet_lite{n}", image_size=64
    )
    for n in range(1, 5)
  },
}
COUNTS = {
  f"efficientnet_b{i}": Count(
    f"torchvision 0.28.0, efficientnet_b{i}",
    functools.partial(_count, f"efficientnet_b{i}", image_size=image_size),
  )
  for i, image_size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
} | {
  f"efficientnet_lite{i}": Count(
    f"timm 1.0.31, tf_efficientnet_lite{i}",
    functools.partial(
      _count_lite, f"tf_efficientnet_lite{i}", image_size=image_size
    ),
  )
  for i, image_size in enumerate((224, 240, 260, 280, 300))
}
