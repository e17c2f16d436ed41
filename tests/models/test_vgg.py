"""VGG: sizes, the network for small images, initial values, dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvision import models, trees
from jaxvision.layers import group_norm
from jaxvision.variables import variable_shapes

NARROW = {"blocks": (1, 2), "features": 8, "pool_size": 2, "hidden": (10, 6)}


def _init(**options):
  """Returns parameters of a convolution and a Dense layer."""
  model = _create(blocks=(1,), features=48, pool_size=4, hidden=(), **options)
  init = jax.jit(functools.partial(model.init, train=False))
  return init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]


def _draw(model, *, size):
  """Returns images and parameters, drawn without compiling `init`."""
  shapes = variable_shapes(model, image_shape=(size, size, 3))
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32),
    shapes["params"],
  )
  return rng.normal(size=(2, size, size, 3)).astype(np.float32), params


def _count(model, *, size):
  shapes = variable_shapes(model, image_shape=(size, size, 3))
  return trees.count(shapes["params"])


def _create(name="vgg11", **options):
  return models.create(name, num_classes=3, **options)


def test_names_are_the_positions_in_torchvision():
  model = _create("vgg16_bn")
  shapes = variable_shapes(model, image_shape=(32, 32, 3))["params"]
  layers = {
    name: shapes[name]["kernel"].shape
    for name in shapes
    if "kernel" in shapes[name]
  }
  convolutions = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
  widths = (64, 64, 128, 128, 256, 256, 256) + 6 * (512,)
  inputs = (3, *widths)
  expected = {
    f"features_{at}": (3, 3, inputs[i], widths[i])
    for i, at in enumerate(convolutions)
  }
  expected |= {
    "classifier_0": (7 * 7 * 512, 4096),
    "classifier_3": (4096, 4096),
    "classifier_6": (4096, 3),
  }
  assert layers == expected
  norms = {name for name in shapes if "scale" in shapes[name]}
  assert norms == {f"features_{at + 1}" for at in convolutions}


def test_sizes_that_have_the_parameters_of_the_native_one():
  model = _create()
  assert len({_count(model, size=size) for size in (32, 63, 224, 300)}) == 1


def test_an_image_that_is_too_small_is_an_error():
  with pytest.raises(ValueError, match=r"image size 31 .* 5 stages.*least 32"):
    _count(_create(), size=31)


def test_count_of_the_network_that_is_used_for_cifar():
  model = models.create("vgg16_bn", num_classes=10, pool_size=1, hidden=())
  convolutions = 14_714_688  # As torchvision's vgg16.features.
  assert _count(model, size=32) == convolutions + 2 * 4224 + 513 * 10


def test_normalises_between_convolution_and_activation():
  model = _create(norm="group_norm(4)", activation="tanh", **NARROW)
  images, params = _draw(model, size=8)

  @jax.jit
  def seen():
    calls = {}

    def observe(call, args, kwargs, context):
      outputs = call(*args, **kwargs)
      if isinstance(context.module, (nn.Conv, group_norm.GroupNorm)):
        calls[context.module.name] = (args[0], outputs)
      return outputs

    with nn.intercept_methods(observe):
      model.apply({"params": params}, images, train=False)
    return calls

  calls = {name.partition("_")[2]: pair for name, pair in seen().items()}
  assert set(calls) == set("014578")
  for convolution, norm in ("01", "45", "78"):
    np.testing.assert_array_equal(calls[convolution][1], calls[norm][0])
  # The second stage has two convolutions without a pooling between them.
  activated = np.tanh(calls["5"][1])
  np.testing.assert_allclose(calls["7"][0], activated, rtol=1e-5, atol=1e-6)


def test_starts_as_torchvisions():
  params = _init()
  for layer, std in (
    ("features_0", (2 / (9 * 48)) ** 0.5),
    ("classifier_0", 0.01),
  ):
    kernel, bias = params[layer]["kernel"], params[layer]["bias"]
    error = 4 * std / (2 * kernel.size) ** 0.5
    assert np.std(kernel) == pytest.approx(std, abs=error)
    np.testing.assert_array_equal(bias, 0)


def test_initializers_are_those_of_the_layers():
  params = _init(initializer="zeros")
  assert np.std(params["features_0"]["kernel"]) == 0
  assert np.std(params["classifier_0"]["kernel"]) > 0
  params = _init(dense_initializer="zeros")
  assert np.std(params["features_0"]["kernel"]) > 0
  assert np.std(params["classifier_0"]["kernel"]) == 0


def test_dropout_is_behind_each_hidden_layer():
  model = _create(dropout=1.0, **NARROW)
  images, params = _draw(model, size=8)
  run = jax.jit(model.apply, static_argnames="train")
  rngs = {"dropout": jax.random.key(0)}
  logits = run({"params": params}, images, train=True, rngs=rngs)
  np.testing.assert_allclose(logits, [params["classifier_6"]["bias"]] * 2)
  kept = run({"params": params}, images, train=False)
  assert np.abs(kept - logits).max() > 0.01
