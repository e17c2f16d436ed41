"""Tests of jaxvision.interpret.layers: names and outputs of layers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_modules

from jaxvision import interpret, models
from jaxvision.variables import variable_shapes


def test_tap_returns_layer_outputs():
  model = models.create("mlp", num_classes=3, hidden=(5, 4))
  params = small_modules.random_params(model, (2, 2, 1))
  images = jax.random.normal(jax.random.key(0), (3, 2, 2, 1))
  first, last = (params[name] for name in ("hidden_0", "head"))
  taps = interpret.tap(
    model, {"params": params}, images, layers=("head", "hidden_0")
  )
  assert list(taps) == ["head", "hidden_0"]
  expected = images.reshape(3, 4) @ first["kernel"] + first["bias"][None]
  np.testing.assert_allclose(taps["hidden_0"], expected, rtol=1e-5)
  logits = model.apply({"params": params}, images, train=False)
  np.testing.assert_array_equal(taps["head"], logits)
  assert logits.shape[-1] == last["bias"].size


def test_tap_reaches_inside_and_can_be_compiled():
  model = models.create("resnet18", num_classes=3, blocks=(1, 1), features=4)
  shapes = variable_shapes(model, image_shape=(32, 32, 3))
  variables = jax.tree.map(np.abs, small_modules.random_arrays(shapes))
  images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
  layers = ("layer2_0", "layer2_0/bn2", "layer2_0/downsample_bn", "fc")
  tap = functools.partial(interpret.tap, model, layers=layers)
  taps = jax.jit(tap)(variables, images)
  branches = taps["layer2_0/bn2"] + taps["layer2_0/downsample_bn"]
  np.testing.assert_allclose(
    taps["layer2_0"], jnp.maximum(branches, 0), rtol=1e-4, atol=1e-5
  )
  logits = (
    taps["layer2_0"].mean(axis=(1, 2)) @ variables["params"]["fc"]["kernel"]
  )
  np.testing.assert_allclose(
    taps["fc"],
    logits + variables["params"]["fc"]["bias"][None],
    rtol=1e-4,
  )


@pytest.mark.parametrize("scan", [False, True])
def test_tap_looks_into_scanned_blocks(scan):
  model = models.create(
    "bit_r50x1", num_classes=2, units=(3,), scan_layers=scan
  )
  variables = small_modules.random_arrays(
    variable_shapes(model, image_shape=(8, 8, 3))
  )
  taps = jax.eval_shape(
    functools.partial(interpret.tap, model, layers=["block1/unit03/conv2"]),
    variables,
    jnp.zeros((2, 8, 8, 3)),
  )
  assert taps["block1/unit03/conv2"].shape == (2, 2, 2, 64)


def test_tap_of_an_unknown_layer_names_the_nearest():
  variables = variable_shapes(small_modules.Nested(), image_shape=(4, 4, 3))
  images = jnp.zeros((1, 4, 4, 3))
  for layer in ("encoder/block_2", "", "norm"):
    with pytest.raises(ValueError, match=rf"unknown layer '{layer}'") as error:
      jax.eval_shape(
        functools.partial(
          interpret.tap, small_modules.Nested(), layers=[layer]
        ),
        variables,
        images,
      )
    if layer == "encoder/block_2":
      assert "did you mean 'encoder/block_" in str(error.value)


def test_names_are_those_of_the_modules_at_every_depth():
  blocks = [f"encoder/block_{i}" for i in range(2)]
  names = interpret.layer_names(small_modules.Nested(), image_shape=(4, 2, 3))
  assert names == [
    "patches",
    "dropout",
    "encoder",
    *(
      f"{block}{layer}" for block in blocks for layer in ("", "/value", "/norm")
    ),
    "head",
  ]


def test_tap_gives_the_last_output_of_a_layer_that_is_called_twice():
  model = small_modules.Twice()
  variables = {"params": small_modules.random_params(model, (4, 2, 3))}
  images = jnp.ones((1, 4, 2, 3))
  taps = interpret.tap(model, variables, images, layers=["shared"])
  np.testing.assert_array_equal(
    taps["shared"].mean(axis=(1, 2)),
    model.apply(variables, images, train=False),
  )
