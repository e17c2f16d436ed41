"""BiT compared with timm's resnetv2_*_bit."""

import functools

from parity.case import Case, Count

_RULES = (
  (r"^stem\.conv\b", "root_block/conv_root"),
  (r"^stages\.(\d)\.blocks\.(\d+)\.", lambda m: _unit(m[1], m[2])),
  (r"downsample\.conv", "conv_proj"),
  (r"\bnorm(\d)\b", r"gn\1"),
  (r"^norm\.", "norm-pre-head."),
  (r"^head\.fc\.", "head."),
)


def _unit(stage, block):
  return f"block{int(stage) + 1}/unit{int(block) + 1:02d}/"


def _timm(variables, images, *, layers):
  from parity import torch_side

  timm = torch_side.import_timm()
  module = timm.models.resnetv2.ResNetV2(
    layers,
    num_classes=10,
    stem_type="fixed",
    conv_layer=functools.partial(timm.layers.StdConv2d, eps=1e-8),
  )
  # Its classifier is a convolution of 1x1.
  head = variables["params"]["head"]
  head = {**head, "kernel": head["kernel"][None, None]}
  variables = {"params": {**variables["params"], "head": head}}
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _count(name):
  from parity import torch_side

  return torch_side.count(
    lambda: torch_side.import_timm().create_model(name), image_size=224
  )


CASES = {
  "bit_r50x1_of_65_pixels": Case(
    "bit_r50x1",
    functools.partial(_timm, layers=(3, 4, 6, 3)),
    image_size=65,
  ),
  "bit_r50x1_shallow": Case(
    "bit_r50x1",
    functools.partial(_timm, layers=(2, 1, 1, 1)),
    image_size=64,
    options={"units": (2, 1, 1, 1)},
    golden=True,
  ),
  "bit_r50x1_scanned": Case(
    "bit_r50x1",
    functools.partial(_timm, layers=(3, 4, 6, 3)),
    image_size=64,
    options={"scan_layers": True},
  ),
  "bit_r101x1": Case(
    "bit_r101x1",
    functools.partial(_timm, layers=(3, 4, 23, 3)),
    image_size=32,
  ),
}
COUNTS = {
  name: Count(f"timm 1.0.31, {theirs}", functools.partial(_count, theirs))
  for name, theirs in (
    ("bit_r50x1", "resnetv2_50x1_bit"),
    ("bit_r50x3", "resnetv2_50x3_bit"),
    ("bit_r101x1", "resnetv2_101x1_bit"),
    ("bit_r101x3", "resnetv2_101x3_bit"),
    ("bit_r152x2", "resnetv2_152x2_bit"),
    ("bit_r152x4", "resnetv2_152x4_bit"),
  )
}
