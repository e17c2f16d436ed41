"""ShuffleNet v2 compared with torchvision's, and with the paper's in torch.

No package has the paper's network. This file implements it in torch, as
described by the paper and the authors' code.
"""

import functools

from parity.case import Case, Count

_RULES = (
  (r"\.(\d+)", r"_\1"),
  (r"^(stage\d_\d+)\.", r"\1/"),
)
# Table 5: channels of stages 2 to 4, and of the last convolution.
_CHANNELS = {
  "x0_5": (48, 96, 192, 1024),
  "x1_0": (116, 232, 464, 1024),
  "x1_5": (176, 352, 704, 1024),
  "x2_0": (244, 488, 976, 2048),
}


def _pointwise(inputs, outputs):
  from torch import nn

  convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
  return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _depthwise(channels, *, stride):
  from torch import nn

  convolution = nn.Conv2d(
    channels, channels, 3, stride, 1, groups=channels, bias=False
  )
  return convolution, nn.BatchNorm2d(channels)


def _unit(inputs, outputs, *, stride):
  """`inputs` are the channels that enter the transformed branch."""
  import torch
  from torch import nn

  class Unit(nn.Module):
    def __init__(self):
      super().__init__()
      middle = outputs // 2
      if stride == 2:
        self.branch1 = nn.Sequential(
          *_depthwise(inputs, stride=2), *_pointwise(inputs, inputs)
        )
      self.branch2 = nn.Sequential(
        *_pointwise(inputs, middle),
        *_depthwise(middle, stride=stride),
        *_pointwise(middle, outputs - inputs),
      )

    def forward(self, x):
      if stride == 2:
        return torch.cat([self.branch1(x), self.branch2(x)], 1)
      pairs = x.unflatten(1, (outputs // 2, 2))
      return torch.cat([pairs[:, :, 0], self.branch2(pairs[:, :, 1])], 1)

  return Unit()


def _paper(size, *, num_classes=1000, small=False):
  from torch import nn

  stride = 1 if small else 2
  first = nn.Conv2d(3, 24, 3, stride, 1, bias=False), nn.BatchNorm2d(24)
  module = nn.Sequential()
  module.add_module("conv1", nn.Sequential(*first, nn.ReLU()))
  if not small:
    module.add_module("pool", nn.MaxPool2d(3, 2, 1))
  channels = (24, *_CHANNELS[size])
  for i, repeats in enumerate((4, 8, 4)):
    inputs, outputs = channels[i], channels[i + 1]
    units = [_unit(inputs, outputs, stride=2)]
    units += [
      _unit(outputs // 2, outputs, stride=1) for _ in range(repeats - 1)
    ]
    module.add_module(f"stage{i + 2}", nn.Sequential(*units))
  module.add_module("conv5", nn.Sequential(*_pointwise(*channels[-2:])))
  module.add_module("mean", nn.AdaptiveAvgPool2d(1))
  module.add_module("flat", nn.Flatten())
  module.add_module("fc", nn.Linear(channels[-1], num_classes, bias=False))
  return module


def _paper_logits(variables, images, **options):
  from parity import torch_side

  module = _paper(num_classes=10, **options)
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _torchvision(variables, images, *, name):
  from parity import torch_side

  module = getattr(torch_side.import_torchvision(), name)(num_classes=10)
  torch_side.fill(module, variables, rules=_RULES)
  return torch_side.logits(module, images)


def _count(size):
  from parity import torch_side

  return torch_side.count(functools.partial(_paper, size), image_size=224)


def _beside_torchvision(model, **fields):
  return Case(
    model,
    functools.partial(_torchvision, name=model),
    options={"layout": "torchvision"},
    against=f"torchvision 0.28.0, {model}",
    **fields,
  )


CASES = {
  **{
    f"shufflenet_v2_{size}": Case(
      f"shufflenet_v2_{size}",
      functools.partial(_paper_logits, size=size),
      image_size=64,
      golden=size == "x1_0",
    )
    for size in _CHANNELS
  },
  "shufflenet_v2_x1_0_of_75_pixels": Case(
    "shufflenet_v2_x1_0",
    functools.partial(_paper_logits, size="x1_0"),
    image_size=75,
  ),
  "shufflenet_v2_x1_0_of_224_pixels": Case(
    "shufflenet_v2_x1_0",
    functools.partial(_paper_logits, size="x1_0"),
    image_size=224,
  ),
  "shufflenet_v2_x1_0_small_stem": Case(
    "shufflenet_v2_x1_0",
    functools.partial(_paper_logits, size="x1_0", small=True),
    image_size=32,
    options={"stem": "small"},
  ),
  "shufflenet_v2_x1_0_torchvision": _beside_torchvision(
    "shufflenet_v2_x1_0", image_size=64, golden=True
  ),
  "shufflenet_v2_x1_0_torchvision_of_75_pixels": _beside_torchvision(
    "shufflenet_v2_x1_0", image_size=75
  ),
  "shufflenet_v2_x2_0_torchvision": _beside_torchvision(
    "shufflenet_v2_x2_0", image_size=64
  ),
}
COUNTS = {
  f"shufflenet_v2_{size}": Count(
    f"the paper's network in torch, tests/parity/shufflenet_v2.py, {size}",
    functools.partial(_count, size),
  )
  for size in _CHANNELS
}
