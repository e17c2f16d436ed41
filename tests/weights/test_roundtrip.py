"""Every layout written and read again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from weight_files import random_variables

from jaxvision import models, trees, weights

# One small network per family: name -> (options, image size, layouts).
_VIT = {"width": 24, "depth": 2, "mlp_dim": 32, "num_heads": 3}
CASES = {
  "bit_r50x1": ({"units": (1, 2, 1, 1)}, 32),
  "vit_ti16": (_VIT, 32),
  "vit_r50_b16": ({**_VIT, "stem_units": (1, 1, 1)}, 32),
  "mixer_s16": (
    {"width": 16, "depth": 2, "tokens_dim": 8, "channels_dim": 24},
    32,
  ),
  "vgg11": ({"hidden": (8, 8)}, 32),
  "resnet50": ({"blocks": (1, 1, 1, 1)}, 32),
  "resnet50d": ({"blocks": (1, 1, 1, 1)}, 32),
  "efficientnet_b0": ({}, 32),
  "efficientnet_lite1": ({}, 32),
  "shufflenet_v2_x0_5": ({"layout": "torchvision"}, 32),
  "nasnet_a_large": ({"repeats": 1, "features": 12}, 32),
}


def test_a_distillation_token_is_in_files_of_timm(tmp_path):
  options = {**_VIT, "distillation_token": True, "activation": "gelu_erf"}
  model = models.create("vit_ti16", num_classes=5, **options)
  variables = random_variables(model, 32)
  path = tmp_path / "weights.safetensors"
  weights.save(path, "vit_ti16", variables, layout="timm")
  loaded, again = weights.load(path, "vit_ti16", image_size=32, **_VIT)
  assert loaded.distillation_token and loaded.positions == "learned"
  for leaf, array in trees.flatten(variables).items():
    np.testing.assert_array_equal(trees.flatten(again)[leaf], array)
  other, fresh = weights.load(
    path, "vit_ti16", image_size=48, num_classes=7, **_VIT
  )
  for head in ("head", "head_dist"):
    assert not fresh["params"][head]["kernel"].any()
  images = jnp.zeros((1, 48, 48, 3))
  logits = jax.eval_shape(lambda: other.apply(fresh, images, train=False))
  assert logits.shape == (1, 7)


@pytest.mark.matrix(every=17)
@pytest.mark.parametrize(
  "name, layout",
  [(name, each) for name in CASES for each in weights.layouts(name)],
)
def test_written_and_read_again_bit_for_bit(name, layout, tmp_path):
  options, image_size = CASES[name]
  model = models.create(name, num_classes=5, **options)
  variables = random_variables(model, image_size)
  path = tmp_path / f"weights{weights.layouts(name)[layout]}"
  weights.save(path, name, variables, layout=layout)
  loaded, again = weights.load(path, name, image_size=image_size, **options)
  assert loaded.num_classes == 5
  actual, expected = trees.flatten(again), trees.flatten(variables)
  assert actual.keys() == expected.keys()
  for leaf, array in expected.items():
    if leaf.startswith(("params/", "batch_stats/")):  # others are not in files
      np.testing.assert_array_equal(actual[leaf], array)
  assert weights.inspect(path).layout == layout
  images = jnp.zeros((1, image_size, image_size, 3))
  logits = jax.eval_shape(lambda: loaded.apply(again, images, train=False))
  assert logits.shape == (1, 5)
