"""Tests of jaxvision.summary.blocks: MAE's numbering, the order of calls."""

import re

import jax
import pytest

from jaxvision import interpret, models, trees
from jaxvision.summary import blocks
from jaxvision.variables import variable_shapes

# Each family in a form that is quickly traced, and its number of layers.
LAYERS = {
  "alexnet": (224, 8),
  "bit_r50x1": (64, 2 + 16),
  "efficientnet_b0": (64, 2 + 16),
  "linear": (8, 1),
  "mixer_s32": (64, 2 + 8),
  "mlp": (8, 3),
  "nasnet_a_mobile": (64, 2 + 2 + 12 + 2),
  "resnet18": (64, 2 + 8),
  "resnet50d": (64, 2 + 16),
  "shufflenet_v2_x0_5": (64, 2 + 16),
  "vgg11_bn": (224, 11),
  "vit_r26_s32": (64, 2 + 8 + 12),
  "vit_ti16": (32, 2 + 12),
}
every_family = pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.slow] if "nasnet" in name else [])
    for name in LAYERS
  ],
)


def _layers(name, size, **options):
  model = models.create(name, num_classes=3, **options)
  return blocks.layers(model, image_shape=(size, size, 3))


def _layer_of_mae(path):
  """The numbering of BEiT and MAE for a ViT of 12 blocks."""
  block = re.match(r"Transformer/encoderblock_(\d+)/", path)
  if block:
    return int(block[1]) + 1
  is_first = re.match("cls|embedding/|Transformer/posembed_input/", path)
  return 0 if is_first else 13


@pytest.mark.parametrize("options", [{}, {"scan_layers": True}])
def test_a_vit_is_numbered_as_in_mae(options):
  found = _layers("vit_ti16", 32, representation_size=8, **options)
  assert found == {path: _layer_of_mae(path) for path in found}


@pytest.mark.matrix(every=8)
@every_family
def test_layers_rise_in_the_order_of_calls(name):
  size, count = LAYERS[name]
  found = _layers(name, size)
  assert set(found.values()) == set(range(count))
  model = models.create(name, num_classes=3)
  by_module = {}
  for path, layer in found.items():
    assert by_module.setdefault(path.rpartition("/")[0], layer) == layer
  order = interpret.layer_names(model, image_shape=(size, size, 3))
  called = [by_module[module] for module in order if module in by_module]
  assert called == sorted(called)


@pytest.mark.slow
def test_the_reduction_cells_of_nasnet_stand_between_the_others():
  found = _layers("nasnet_a_mobile", 64)
  cells = ("cell_3", "reduction_cell_0", "cell_4", "cell_11", "last_linear")
  first = {path.split("/")[0]: layer for path, layer in found.items()}
  assert [first[cell] for cell in cells] == [6, 7, 8, 16, 17]


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize(
  ("name", "count", "first"),
  [
    ("bit_r50x1", 16, "block1/unit01"),
    ("vit_ti16", 12, "Transformer/encoderblock_0"),
    ("vgg11_bn", 0, None),
  ],
)
def test_blocks_are_listed_in_the_order_of_calls(name, count, first):
  model = models.create(name, num_classes=3)
  size = LAYERS[name][0]
  found = blocks.blocks(model, image_shape=(size, size, 3))
  assert len(found) == count
  assert found[:1] == ([first] if first else [])


@pytest.mark.slow
def test_the_factor_falls_from_one_by_the_decay():
  model = models.create("vit_ti16", num_classes=3)
  shape = (32, 32, 3)
  factors = blocks.rate_factors(model, decay=0.5, image_shape=shape)
  params = variable_shapes(model, image_shape=shape)["params"]
  assert jax.tree.structure(factors) == jax.tree.structure(params)
  by_path = trees.flatten(factors)
  assert by_path["head/kernel"] == by_path["head/bias"] == 1
  last = "Transformer/encoderblock_11/LayerNorm_0/scale"
  assert by_path[last] == 0.5
  assert by_path["cls"] == by_path["embedding/kernel"] == 0.5**13
