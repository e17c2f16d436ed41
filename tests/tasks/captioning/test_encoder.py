"""Tests of models as encoders: the layer with the tokens of an image."""

import jax
import numpy as np
import pytest

from jaxvision import interpret, models
from jaxvision.tasks.captioning import encoder

_VIT = {"patch_size": 4, "width": 8, "depth": 1, "mlp_dim": 8, "num_heads": 2}
_CASES = {
  "mlp": ({"hidden": (8,), "dropout": 0.0}, (8,), None),
  "linear": ({}, (10,), None),
  "resnet18": (
    {"blocks": (1, 1), "features": 4, "stem": "small"},
    (8, 8, 8),
    (8, 8),
  ),
  "vit_ti16": (_VIT, (17, 8), (4, 4)),
  "vit_s16": ({**_VIT, "pool": "map"}, (16, 8), (4, 4)),
}


@pytest.mark.matrix("mlp", "vit_ti16")
@pytest.mark.parametrize("name", _CASES)
def test_the_default_layer_is_the_last_with_several_tokens(name):
  options, shape, grid = _CASES[name]
  model = models.create(name, num_classes=10, **options)
  found = encoder.make(model, image_shape=(16, 16, 3))
  assert (found.shape, found.grid) == (shape, grid)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "options", "layer", "activation"),
  [
    (
      "efficientnet_lite0",
      {"width": 0.25, "stages": ((1, 3, 1, 1, 16),), "stem": "small"},
      "bn2",
      "relu6",
    ),
    ("bit_r50x1", {"units": (1,), "stem": "small"}, "norm-pre-head", "relu"),
  ],
)
def test_an_activation_before_the_pooling_is_not_in_the_tokens(
  name, options, layer, activation
):
  """The classifier of the activated tokens gives the logits of the model."""
  model = models.create(name, num_classes=3, **options)
  found = encoder.make(model, image_shape=(16, 16, 3))
  assert found.layer == layer
  images = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
  init = jax.jit(lambda key: model.init(key, images, train=False))
  variables = init(jax.random.key(1))
  head = "classifier" if layer == "bn2" else "head"
  kernel = variables["params"][head]["kernel"]
  variables["params"][head]["kernel"] = kernel = jax.random.normal(
    jax.random.key(2), kernel.shape
  )
  tokens, _ = found.tokens(variables, images, train=False)
  assert (tokens < 0).any()
  pooled = np.asarray(getattr(jax.nn, activation)(tokens).mean(axis=1))
  bias = np.asarray(variables["params"][head]["bias"])
  logits = model.apply(variables, images, train=False)
  np.testing.assert_allclose(
    pooled @ np.asarray(kernel) + bias, logits, rtol=1e-4
  )


def test_tokens_are_the_output_of_the_layer_row_by_row():
  model = models.create("resnet18", num_classes=10, **_CASES["resnet18"][0])
  images = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
  variables = jax.jit(lambda key: model.init(key, images, train=False))(
    jax.random.key(1)
  )
  found = encoder.make(model, image_shape=(16, 16, 3), layer="layer1_0")
  tokens, _ = jax.jit(
    lambda images: found.tokens(variables, images, train=False)
  )(images)
  tapped = interpret.tap(model, variables, images, layers=["layer1_0"])
  expected = np.asarray(tapped["layer1_0"])
  np.testing.assert_allclose(tokens, expected.reshape(2, -1, 4), rtol=1e-5)


def test_an_unknown_layer_is_refused_with_the_nearest():
  model = models.create("resnet18", num_classes=10, **_CASES["resnet18"][0])
  with pytest.raises(ValueError, match="layer1_0"):
    encoder.make(model, image_shape=(16, 16, 3), layer="layer1_9")
