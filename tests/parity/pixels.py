"""Linear model and multilayer perceptrons: counted on torch's layers."""

from parity.case import Count

CASES = {}
_PIXELS = 32 * 32 * 3


def _count(build):
  from parity import torch_side

  return torch_side.count(build, image_size=32)


def _linear():
  from torch import nn

  return nn.Sequential(nn.Flatten(), nn.Linear(_PIXELS, 1000))


def _mlp():
  from torch import nn

  return nn.Sequential(
    nn.Flatten(),
    nn.Linear(_PIXELS, 512),
    nn.ReLU(),
    nn.Linear(512, 512),
    nn.ReLU(),
    nn.Linear(512, 1000),
  )


def _maxout_mlp():
  from torch import nn

  def maxout():
    return nn.Sequential(nn.Unflatten(1, (240, 5)), nn.MaxPool2d((1, 5)))

  return nn.Sequential(
    nn.Flatten(),
    nn.Linear(_PIXELS, 240 * 5),
    maxout(),
    nn.Flatten(),
    nn.Linear(240, 240 * 5),
    maxout(),
    nn.Flatten(),
    nn.Linear(240, 1000),
  )


COUNTS = {
  "linear": Count("torch 2.13.0, its layers", lambda: _count(_linear)),
  "mlp": Count("torch 2.13.0, its layers", lambda: _count(_mlp)),
  "maxout_mlp": Count("torch 2.13.0, its layers", lambda: _count(_maxout_mlp)),
}
