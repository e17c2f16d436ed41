"""The classifier with a bit for real images, compared with torchvision's.

The blocks are torchvision's DenseNet. The head, with the bit, is that of
github.com/amurthy1/dagan_torch: no package has it.
"""

from parity.case import Case

_BLOCKS = (3, 3, 3, 3)
_RULES = (
  *((rf"^features\.denseblock{i + 1}\.", f"block{i}_") for i in range(4)),
  *((rf"denselayer{i + 1}\.", f"{i}_") for i in range(3)),
  *((rf"^features\.transition{i + 1}\.", f"transition{i}_") for i in range(3)),
  (r"^features\.conv0\.", "conv."),
  (r"^features\.norm0\.", "conv_norm."),
  (r"^features\.norm5\.", "norm."),
)


def _densenet(num_classes):
  import torch
  from torch import nn

  from parity import torch_side

  class Classifier(nn.Module):
    def __init__(self):
      super().__init__()
      densenet = torch_side.import_torchvision().DenseNet(
        16, _BLOCKS, 64, drop_rate=0.3, num_classes=1
      )
      self.features = densenet.features
      self.hidden = nn.Linear(99, 20)
      self.hidden_norm = nn.BatchNorm1d(20)
      self.head = nn.Linear(20, num_classes)

    def forward(self, x):
      x = torch.relu(self.features(x)).mean((2, 3))
      x = torch.cat([x, torch.ones(len(x), 1)], 1)
      return self.head(self.hidden_norm(self.hidden(x)))

  return Classifier()


def _logits(variables, images):
  from parity import torch_side

  module = torch_side.fill(_densenet(10), variables, rules=_RULES)
  return torch_side.logits(module, images)


CASES = {
  f"low_data_densenet_of_{size}_pixels": Case(
    "low_data_densenet",
    _logits,
    image_size=size,
    golden=size == 64,
    against="torchvision 0.28.0, DenseNet, with the head of dagan_torch",
  )
  for size in (64, 224)
}
# It is not in the list of models.
COUNTS = {}
