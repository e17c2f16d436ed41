"""AlexNet: response normalisation, towers, sizes, initial values, dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvision import models, trees
from jaxvision.models import alexnet
from jaxvision.variables import variable_shapes

NARROW = {"features": (8, 12, 16, 8, 8), "hidden": (10, 6)}
SMALL = {"features": (8, 12, 16, 8, 8), "stem": "small"}


def _create(name, **options):
  return models.create(name, num_classes=3, **options)


def _init(model, *, size):
  images = jnp.zeros((1, size, size, 3))
  init = jax.jit(functools.partial(model.init, train=False))
  return init(jax.random.key(0), images)["params"]


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


@functools.partial(jax.jit, static_argnums=0)
def _record(model, variables, images):
  """{layer: (input, output)} of the convolutions and Dense layers."""
  seen = {}

  def observe(call, args, kwargs, context):
    outputs = call(*args, **kwargs)
    if isinstance(context.module, (nn.Conv, nn.Dense)):
      seen[context.module.name] = (args[0], outputs)
    return outputs

  with nn.intercept_methods(observe):
    model.apply(variables, images, train=False)
  return seen


def _response_norm_by_loops(x):
  y = np.zeros(x.shape)
  for c in range(x.shape[-1]):
    nearby = x[..., max(0, c - 2) : c + 3]
    y[..., c] = x[..., c] / (2 + 1e-4 * (nearby**2).sum(axis=-1)) ** 0.75
  return y


def test_response_norm_equals_loops():
  rng = np.random.default_rng(0)
  x = (100 * rng.normal(size=(2, 3, 7))).astype(np.float32)
  expected = _response_norm_by_loops(x)
  # The squares matter: without them all values would have the same divisor.
  assert np.std(expected / x) > 0.01
  actual = alexnet.local_response_norm(jnp.asarray(x))
  np.testing.assert_allclose(actual, expected, rtol=1e-5)
  half = jnp.asarray(x, jnp.bfloat16)
  assert alexnet.local_response_norm(half).dtype == jnp.bfloat16


def test_response_norm_comes_between_activation_and_pooling():
  model = _create("alexnet_2012", activation="tanh", **SMALL)
  images, params = _draw(model, size=32)
  seen = _record(model, {"params": params}, 1e4 * images)
  for before, after, normalised in (
    ("conv1", "conv2", True),
    ("conv2", "conv3", True),
    ("conv3", "conv4", False),
  ):
    y = np.tanh(seen[before][1])
    if normalised:
      b, h, w, c = y.shape
      y = _response_norm_by_loops(y).reshape(b, h // 2, 2, w // 2, 2, c)
      y = y.max(axis=(2, 4))
    np.testing.assert_allclose(seen[after][0], y, rtol=1e-4, atol=1e-6)


def test_towers_meet_in_the_third_convolution_and_behind_the_last():
  model = _create("alexnet_2012", norm="none", **SMALL)
  images, params = _draw(model, size=32)
  changed = jax.tree.map(np.array, params)
  # The second tower of the first layer gets another input.
  changed["conv1"]["kernel"][..., 4:] += 1
  before = _record(model, {"params": params}, images)
  after = _record(model, {"params": changed}, images)
  for layer, half in (("conv1", 4), ("conv2", 6)):
    one, two = before[layer][1], after[layer][1]
    np.testing.assert_array_equal(one[..., :half], two[..., :half])
    assert not np.allclose(one[..., half:], two[..., half:])
  one, two = before["conv3"][1], after["conv3"][1]
  assert not np.allclose(one[..., :8], two[..., :8])


def test_counts_of_the_networks_that_are_used_for_cifar():
  small = models.create("alexnet", num_classes=10, stem="small")
  assert _count(small, size=32) == 2_472_266
  # Widths of 2012 in one tower, batch normalisation, images enlarged to 227.
  one_tower = models.create(
    "alexnet_2012", num_classes=10, groups=1, norm="batch_norm"
  )
  assert _count(one_tower, size=227) == 58_325_066
  with_norms = _create("alexnet", norm="batch_norm")
  added = 2 * (64 + 192 + 384 + 256 + 256)
  assert _count(with_norms, size=224) == (
    _count(_create("alexnet"), size=224) + added
  )


@pytest.mark.parametrize(
  "name, sizes",
  [
    ("alexnet", (63, 64, 225, 500)),
    ("alexnet_2012", (227, 258)),
  ],
)
def test_sizes_that_have_the_parameters_of_the_native_one(name, sizes):
  model, native = _create(name), models.spec(name).image_size
  assert {_count(model, size=size) for size in (*sizes, native)} == {
    _count(model, size=native)
  }


@pytest.mark.parametrize(
  "name, size, message",
  [
    ("alexnet", 62, r"image size 62 .* at least 63, or stem='small'"),
    ("alexnet", 32, r"image size 32 .* at least 63, or stem='small'"),
    ("alexnet_2012", 224, r"224 gives a map of side 5.* use 227"),
    ("alexnet_2012", 259, r"259 gives a map of side 7.* use 227"),
    ("alexnet_2012", 32, r"32 gives a map of side 0.* stem='small'"),
  ],
)
def test_sizes_that_do_not_fit_are_errors(name, size, message):
  with pytest.raises(ValueError, match=message):
    _count(_create(name), size=size)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012"])
def test_unknown_stem_and_norm_are_errors(name):
  with pytest.raises(ValueError, match=r"unknown stem 'tiny'; .*small"):
    _count(_create(name, stem="tiny"), size=32)
  with pytest.raises(ValueError, match=r"unknown norm 'bach_norm'"):
    _count(_create(name, stem="small", norm="bach_norm"), size=32)


def test_2012_starts_as_in_the_paper():
  assert _create("alexnet_2012").initializer == "normal(0.01)"
  model = _create("alexnet_2012", initializer="zeros", **NARROW)
  for layer, leaves in _init(model, size=227).items():
    ones = layer in ("conv2", "conv4", "conv5", "fc6", "fc7")
    np.testing.assert_array_equal(leaves["bias"], 1.0 if ones else 0.0)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012"])
def test_initializer_is_that_of_all_kernels(name):
  options = {**NARROW, "initializer": "zeros"}
  params = _init(_create(name, **options), size=227)
  assert len(params) == 8
  for leaves in params.values():
    np.testing.assert_array_equal(leaves["kernel"], 0)


def test_dropout_is_before_the_hidden_layers_or_behind_them():
  for name, size in (("alexnet", 63), ("alexnet_2012", 227)):
    model = _create(name, dropout=1.0, **NARROW)
    images, params = _draw(model, size=size)
    run = jax.jit(functools.partial(model.apply, train=True))
    rngs = {"dropout": jax.random.key(0)}
    logits = run({"params": params}, images, rngs=rngs)
    if name == "alexnet":
      last = params["classifier_6"]
      hidden = np.maximum(params["classifier_4"]["bias"], 0)
      expected = hidden @ last["kernel"] + last["bias"]
    else:
      expected = params["fc8"]["bias"]
    np.testing.assert_allclose(logits, [expected] * 2, rtol=1e-5, atol=1e-6)
