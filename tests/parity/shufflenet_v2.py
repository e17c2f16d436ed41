"""ShuffleNet v2 beside torchvision's, and beside the paper's written in torch.

No package has the paper's network, so it is written out here.
"""

import functools

from parity.case import Case, Count

_RULES = (
  (r"\.(\d+)", r"_\1"),
  (r"^(stage\d_\d+)\.", r"\1/"),
)
_WIDTHS = {
  "x0_5": (48, 96, 192, 1024),
  "x1_0": (116, 232, 464, 1024),
  "x1_5": (176, 352, 704, 1024),
  "x2_0": (244, 488, 976, 2048),
}


def _paper(name, *, num_classes=1000):
  """Table 5 of the paper, with the branches and splits of the authors' code."""
  from torch import nn

  def conv(inputs, outputs, size=1, *, stride=1, groups=1):
    return [
      nn.Conv2d(
        *(inputs, outputs, size, stride, size // 2), groups=groups, bias=False
      ),
      nn.BatchNorm2d(outputs),
    ]

  def unit(inputs, middle, outputs, *, stride):
    """What is transformed, and for stride 2 what is kept, as a module each."""
    depthwise = {"size": 3, "stride": stride}
    branches = nn.Module()
    if stride == 2:
      branches.branch1 = nn.Sequential(
        *conv(inputs, inputs, groups=inputs, **depthwise),
        *conv(inputs, inputs),
        nn.ReLU(),
      )
    branches.branch2 = nn.Sequential(
      *conv(inputs, middle),
      nn.ReLU(),
      *conv(middle, middle, groups=middle, **depthwise),
      *conv(middle, outputs - inputs),
      nn.ReLU(),
    )
    return branches

  return _assemble(name, conv=conv, unit=unit, num_classes=num_classes)
