"""NASNet-A compared with Keras' and timm's.

Neither has the CIFAR network. It is built from timm's cells, except for its
first cell. timm pools differently at the border than the authors' code. For a
comparison with the authors' form, timm's strided means are replaced.
"""

import functools
import os
import re

import numpy as np

from parity import case
from parity.case import CLASSES, Case, Count

_TIMM_RULES = (
  (r"\.(conv|bn|(depth|point)wise_conv2d)\.", r"_\1."),
  (r"\.(?=.*\.)", "/"),
)
_KERAS_RULES = (
  (r"^stem_(conv|bn)1$", r"conv0_\1"),
  (r"^predictions$", "last_linear"),
  (r"^(?:normal|reduction)_(conv|bn)_1_(\w+)$", r"\2/conv_1x1_\1"),
  (r"^adjust_conv_projection_(\w+)$", r"\1/conv_prev_1x1_conv"),
  (r"^adjust_conv_(\d)_(\w+)$", r"\2/path_\1_conv"),
  (
    r"^separable_conv_(\d)_(bn_)?(?:normal|reduction)_([a-z]+)(\d)_(\w+)$",
    lambda m: (
      f"{m[5]}/{_iteration(m[3], int(m[4]), m[5])}/"
      + (f"bn_sep_{m[1]}" if m[2] else f"separable_{m[1]}")
    ),
  ),
)


def _iteration(side, block, cell):
  # In reduction cells Keras counts the fifth combination as the fourth.
  fifth = block == 4 and cell.startswith(("stem", "reduce"))
  return f"comb_iter_{4 if fifth else block - 1}_{side}"


def _keras_network(
  image_size, *, features=44, repeats=4, skip_reduction=False, classes=1000
):
  os.environ.setdefault("KERAS_BACKEND", "jax")
  from keras.src.applications import nasnet

  return nasnet.NASNet(
    (image_size, image_size, 3),
    penultimate_filters=24 * features,
    num_blocks=repeats,
    stem_block_filters=32,
    skip_reduction=skip_reduction,
    weights=None,
    classes=classes,
    classifier_activation=None,
  )


def _cell(identifier, repeats):
  """Our name of a cell of Keras, which counts the first reduction cell."""
  if identifier.startswith("stem_"):
    return f"cell_stem_{int(identifier[-1]) - 1}"
  if identifier.startswith("reduce_"):
    first = identifier == f"reduce_{repeats}"
    return f"reduction_cell_{0 if first else 1}"
  number = int(identifier)
  return f"cell_{number - (number > repeats)}"


def _path(layer, repeats):
  """Our path of a layer of Keras."""
  path = layer
  for pattern, replacement in _KERAS_RULES:
    path = re.sub(pattern, replacement, path)
  identifier, slash, rest = path.partition("/")
  return f"{_cell(identifier, repeats)}/{rest}" if slash else path


def _weights(layer, ours, repeats):
  """Takes the arrays of a layer out of `ours`, in its order and layout."""
  path = _path(layer.name, repeats)
  kind = type(layer).__name__
  if layer.name.startswith("adjust_bn_"):
    cell = _cell(layer.name.removeprefix("adjust_bn_"), repeats)
    shrinks = f"{cell}/final_path_bn/scale" in ours
    path = f"{cell}/{'final_path_bn' if shrinks else 'conv_prev_1x1_bn'}"
  if kind == "BatchNormalization":
    names = ("scale", "bias", "mean", "var")
    return [ours.pop(f"{path}/{name}") for name in names]
  if kind == "SeparableConv2D":
    depthwise = ours.pop(f"{path}_depthwise_conv2d/kernel")
    pointwise = ours.pop(f"{path}_pointwise_conv2d/kernel")
    return [depthwise.swapaxes(2, 3), pointwise]
  names = ("kernel", "bias") if layer.use_bias else ("kernel",)
  return [ours.pop(f"{path}/{name}") for name in names]


def _keras(variables, images, *, repeats=4, **options):
  network = _keras_network(
    images.shape[1], repeats=repeats, classes=CLASSES, **options
  )
  ours = {
    path.partition("/")[2]: np.asarray(leaf)
    for path, leaf in case.flatten(variables).items()
  }
  for layer in network.layers:
    if layer.weights:
      layer.set_weights(_weights(layer, ours, repeats))
  assert not ours, f"left over: {sorted(ours)}"
  return np.asarray(network(images, training=False))


def _count_keras():
  network = _keras_network(224)
  parameters = sum(
    int(np.prod(each.shape)) for each in network.trainable_weights
  )
  return parameters, sum(_macs(layer) for layer in network.layers)


def _macs(layer):
  """Every element of a kernel is used once for every pixel of the output."""
  pixels = int(np.prod(layer.output.shape[1:-1]))
  kernels = [each for each in layer.weights if each.path.endswith("kernel")]
  return pixels * sum(int(np.prod(each.shape)) for each in kernels)


def _exclude_padding_from_means(module):
  """Excludes the padding from strided means, as in the authors' code."""
  import torch

  class Mean(torch.nn.Module):
    def __init__(self, pool):
      super().__init__()
      self.pool = pool

    def forward(self, x):
      return self.pool(x) / self.pool(torch.ones_like(x))

  for cell in module.children():
    pool = getattr(cell, "comb_iter_2_left", None)
    if type(pool).__name__ == "AvgPool2dSame":
      cell.comb_iter_2_left = Mean(pool)
  return module


def _timm_network(*, features=168, exact=False, classes=1000):
  from parity import torch_side

  network = torch_side.import_timm().models.nasnet.NASNetALarge(
    num_classes=classes, num_features=24 * features
  )
  return _exclude_padding_from_means(network) if exact else network


def _first_cell(inputs, features):
  """The normal cell that reads the CIFAR stem twice; timm has no such cell."""
  import torch

  from parity import torch_side

  parts = torch_side.import_timm().models.nasnet

  def separable(kernel_size):
    return parts.BranchSeparables(
      inputs, features, kernel_size, 1, "same", stem_cell=True
    )

  def inner(kernel_size):
    return parts.BranchSeparables(features, features, kernel_size, 1, "same")

  def projection():
    layer = parts.ActConvBn(inputs, features, 1)
    layer.act = torch.nn.Identity()
    return layer

  class FirstCell(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.conv_1x1 = parts.ActConvBn(inputs, features, 1)
      self.comb_iter_0_left = inner(5)
      self.comb_iter_0_right = separable(3)
      self.comb_iter_1_left = separable(5)
      self.comb_iter_1_right = separable(3)
      self.comb_iter_2_right = parts.ActConvBn(inputs, features, 1)
      self.comb_iter_3_left = projection()
      self.comb_iter_3_right = projection()
      self.comb_iter_4_left = inner(3)
      self.path = projection()
      self.mean = torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x):
      h, mean = self.conv_1x1(x), self.mean(x)
      sums = (
        self.path(x),
        self.comb_iter_0_left(h) + self.comb_iter_0_right(x),
        self.comb_iter_1_left(x) + self.comb_iter_1_right(x),
        self.mean(h) + self.comb_iter_2_right(x),
        self.comb_iter_3_left(mean) + self.comb_iter_3_right(mean),
        self.comb_iter_4_left(h) + h,
      )
      return torch.cat(sums, 1)

  return FirstCell()


def _cifar_cells(repeats, features):
  """Yields (name, cell) after the first one."""
  from parity import torch_side

  parts = torch_side.import_timm().models.nasnet
  left, right = 3 * features, 6 * features
  for i in range(1, 3 * repeats):
    if i % repeats == 0:
      name = f"reduction_cell_{i // repeats - 1}"
      features *= 2
      cell = parts.ReductionCell0(left, features, right, features, "same")
      yield name, cell
      left, right = right, 4 * features
      cell = parts.FirstCell(left, features // 2, right, features, "same")
    else:
      cell = parts.NormalCell(left, features, right, features, "same")
    yield f"cell_{i}", cell
    left, right = right, 6 * features


def _cifar_network(*, repeats=6, features=32, classes=1000):
  """The network of the authors' `build_nasnet_cifar`."""
  import torch
  from torch import nn

  class Network(nn.Module):
    def __init__(self):
      super().__init__()
      self.conv0 = nn.Sequential()
      self.conv0.add_module(
        "conv", nn.Conv2d(3, 3 * features, 3, padding=1, bias=False)
      )
      self.conv0.add_module("bn", nn.BatchNorm2d(3 * features))
      self.cell_0 = _first_cell(3 * features, features)
      self.rest = []
      for name, cell in _cifar_cells(repeats, features):
        self.add_module(name, cell)
        self.rest.append(name)
      self.last_linear = nn.Linear(24 * features, classes)

    def forward(self, x):
      previous = self.conv0(x)
      x = self.cell_0(previous)
      for name in self.rest:
        previous, x = x, self.get_submodule(name)(x, previous)
      return self.last_linear(torch.relu(x).mean((2, 3)))

  network = _exclude_padding_from_means(Network())
  for module in network.modules():
    if isinstance(module, nn.BatchNorm2d):
      module.eps = 1e-5
  return network


def _torch(variables, images, *, build):
  from parity import torch_side

  module = build(classes=CLASSES)
  torch_side.fill(module, variables, rules=_TIMM_RULES)
  return torch_side.logits(module, images)


def _count_torch(build, image_size):
  from parity import torch_side

  return torch_side.count(build, image_size=image_size)


def _keras_case(image_size, *, golden=False, against="", **options):
  return Case(
    "nasnet_a_mobile",
    functools.partial(_keras, **options),
    image_size,
    options | {"border": "zeros"},
    golden,
    against=against,
  )


def _timm_case(image_size, *, border, features=168):
  exact = border == "nothing"
  build = functools.partial(_timm_network, features=features, exact=exact)
  against = "timm 1.0.31, nasnetalarge with TensorFlow's means at the border"
  return Case(
    "nasnet_a_large",
    functools.partial(_torch, build=build),
    image_size,
    {"features": features, "border": border, "drop_path": 0.0},
    against=against if exact else "",
  )


def _cifar_case(image_size, *, golden=False, **options):
  build = functools.partial(_cifar_network, **options)
  return Case(
    "nasnet_a_cifar",
    functools.partial(_torch, build=build),
    image_size,
    options | {"drop_path": 0.0},
    golden,
  )


CASES = {
  "nasnet_a_mobile_of_96_pixels": _keras_case(96),
  "nasnet_a_mobile_narrow": _keras_case(224, features=8),
  "nasnet_a_mobile_of_75_pixels": _keras_case(
    75, repeats=1, features=8, golden=True
  ),
  "nasnet_a_mobile_skipping": _keras_case(
    64,
    repeats=2,
    features=8,
    skip_reduction=True,
    against="keras 3.15.1, NASNet(skip_reduction=True)",
  ),
  "nasnet_a_large_of_99_pixels": _timm_case(99, border="zeros_in_means"),
  "nasnet_a_large_narrow": _timm_case(331, features=8, border="zeros_in_means"),
  "nasnet_a_large_of_96_pixels": _timm_case(96, features=8, border="nothing"),
  "nasnet_a_cifar": _cifar_case(32),
  "nasnet_a_cifar_of_21_pixels": _cifar_case(
    21, repeats=1, features=8, golden=True
  ),
  "nasnet_cell": Case(
    "nasnet_cell",
    functools.partial(
      _torch, build=functools.partial(_cifar_network, repeats=2, features=8)
    ),
    32,
    {"filters": 8},
  ),
}
COUNTS = {
  "nasnet_a_mobile": Count("keras 3.15.1, NASNetMobile", _count_keras),
  "nasnet_a_large": Count(
    "timm 1.0.31, nasnetalarge",
    functools.partial(_count_torch, _timm_network, 331),
  ),
  "nasnet_a_cifar": Count(
    "timm 1.0.31, its cells as in the authors' code",
    functools.partial(_count_torch, _cifar_network, 32),
  ),
  "nasnet_cell": Count(
    "timm 1.0.31, its cells as in the authors' code",
    functools.partial(
      _count_torch, functools.partial(_cifar_network, repeats=2), 32
    ),
  ),
}
