"""NAS-Bench-201 compared with the authors' package, xautodl."""

import functools

from jaxvision.models import nasbench201
from parity.case import Case, Count

_SOURCE = "xautodl 1.0.0, TinyNetwork"
# Index 0 of the published tables.
_FIRST = (
  "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
  "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)
_MIXED = (
  "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+"
  "|nor_conv_1x1~0|skip_connect~1|nor_conv_3x3~2|"
)
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def _network(*, arch, channels=16, cells=5, classes=1000):
  from xautodl.models import cell_infers, cell_searchs

  structure = cell_searchs.CellStructure.str2structure(arch)

  class Network(cell_infers.TinyNetwork):
    def forward(self, x):
      return super().forward(x)[1]  # without the features

  return Network(channels, cells, structure, classes)


def _rules(arch, cells):
  """Residual blocks are counted as cells there."""
  names = [
    word.partition("~")[0] for word in arch.replace("+", "").split("|") if word
  ]
  numbers = range(3 * cells + 2)
  residual = {cells: 0, 2 * cells + 1: 1}
  cell = {n: i for i, n in enumerate(n for n in numbers if n not in residual)}
  return (
    *(
      (rf"^cells\.{n}\.(?!layers)", f"residual_{i}/")
      for n, i in residual.items()
    ),
    *((rf"^cells\.{n}\.", f"cell_{i}/") for n, i in cell.items()),
    *(
      (rf"layers\.{k}\.", f"edge_{a}_{b}/{names[k]}/")
      for k, (a, b) in enumerate(_EDGES)
    ),
    (r"(conv_[ab])\.", r"\1/"),
    (r"op\.1\.", "conv."),
    (r"op\.2\.", "norm."),
    (r"downsample\.1\.", "shortcut."),
    (r"^stem\.0\.", "stem_conv."),
    (r"^stem\.1\.", "stem_norm."),
    (r"^lastact\.0\.", "last_norm."),
  )


def _logits(variables, images, *, arch, channels, cells):
  from parity import torch_side

  network = _network(arch=arch, channels=channels, cells=cells, classes=10)
  module = torch_side.fill(network, variables, rules=_rules(arch, cells))
  return torch_side.logits(module, images)


def _case(arch, *, image_size=32, golden=False, channels=16, cells=5):
  options = {"arch": arch, "channels": channels, "cells": cells}
  return Case(
    "nasbench201",
    functools.partial(_logits, **options),
    image_size,
    options,
    golden,
  )


def _count():
  from parity import torch_side

  build = functools.partial(_network, arch=nasbench201.RESNET)
  return torch_side.count(build, image_size=32)


CASES = {
  "nasbench201": _case(nasbench201.RESNET),
  "nasbench201_first": _case(_FIRST),
  "nasbench201_of_16_pixels": _case(
    _MIXED, image_size=16, golden=True, channels=4, cells=1
  ),
}
COUNTS = {"nasbench201": Count(_SOURCE, _count)}
