"""Multilayer perceptrons against loops in numpy; dropout; options."""

import functools

import jax
import numpy as np
import pytest

from jaxvision import models, trees


def _init(model, *, shape=(2, 4, 4, 1)):
  images = jax.random.normal(jax.random.key(0), shape)
  init = jax.jit(functools.partial(model.init, train=False))
  return images, init(jax.random.key(1), images)


def test_mlp_equals_numpy():
  model = models.create("mlp", num_classes=3, hidden=(6, 5), activation="tanh")
  images, variables = _init(model)
  p = jax.tree.map(np.asarray, variables["params"])
  x = np.asarray(images).reshape(2, -1)
  for layer in ("hidden_0", "hidden_1"):
    x = np.tanh(x @ p[layer]["kernel"] + p[layer]["bias"])
  expected = x @ p["head"]["kernel"] + p["head"]["bias"]
  actual = model.apply(variables, images, train=False)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_mlp_without_hidden_layers_has_the_parameters_of_the_linear_model():
  _, mlp = _init(models.create("mlp", num_classes=3, hidden=()))
  _, linear = _init(models.create("linear", num_classes=3))
  shapes = [
    {path: leaf.shape for path, leaf in trees.flatten(tree).items()}
    for tree in (mlp, linear)
  ]
  assert shapes[0] == shapes[1]


def test_maxout_units_take_the_largest_of_their_pieces():
  model = models.create("maxout_mlp", num_classes=3, hidden=(4,), pieces=3)
  images, variables = _init(model)
  p = jax.tree.map(np.asarray, variables["params"])
  kernel, bias = p["hidden_0"]["kernel"], p["hidden_0"]["bias"]
  kernel, bias = kernel.reshape(16, 4, 3), bias.reshape(4, 3)
  hidden = np.array(
    [
      [
        max(x.ravel() @ kernel[:, unit, k] + bias[unit, k] for k in range(3))
        for unit in range(4)
      ]
      for x in np.asarray(images)
    ]
  )
  expected = hidden @ p["head"]["kernel"] + p["head"]["bias"]
  actual = model.apply(variables, images, train=False)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "maxout_mlp"])
def test_input_dropout_removes_pixels_in_training(name):
  model = models.create(name, num_classes=16, hidden=(), input_dropout=0.25)
  images, _ = _init(model)
  head = {"kernel": np.eye(16, dtype=np.float32), "bias": np.zeros(16)}
  pixels = np.asarray(images).reshape(2, 16)
  apply = functools.partial(model.apply, {"params": {"head": head}}, images)
  np.testing.assert_allclose(apply(train=False), pixels, rtol=1e-6)
  dropped = np.asarray(apply(train=True, rngs={"dropout": jax.random.key(2)}))
  kept = dropped != 0
  assert 0 < kept.sum() < kept.size
  np.testing.assert_allclose(dropped[kept], pixels[kept] / 0.75, rtol=1e-6)


def test_two_opposite_pieces_are_the_absolute_value():
  model = models.create("maxout_mlp", num_classes=1, hidden=(1,), pieces=2)
  images = jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
  kernel = np.zeros((16, 2), np.float32)
  kernel[5] = (1, -1)
  params = {
    "hidden_0": {"kernel": kernel, "bias": np.zeros(2, np.float32)},
    "head": {"kernel": np.ones((1, 1), np.float32), "bias": np.zeros(1)},
  }
  logits = model.apply({"params": params}, images, train=False)
  expected = np.abs(np.asarray(images)[:, 1, 1])
  np.testing.assert_allclose(logits, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "maxout_mlp"])
def test_dropout_acts_in_training_only_and_keeps_the_mean(name):
  model = models.create(name, num_classes=2, hidden=(64,), dropout=0.5)
  images, variables = _init(model)

  @jax.jit
  @jax.vmap
  def trained(key):
    return model.apply(variables, images, train=True, rngs={"dropout": key})

  samples = trained(jax.random.split(jax.random.key(0), 2000))
  assert np.std(samples, axis=0).min() > 0.01
  # The head is linear, and 2000 samples leave an error of std / 45.
  np.testing.assert_allclose(
    samples.mean(axis=0),
    model.apply(variables, images, train=False),
    atol=5 * np.std(samples) / np.sqrt(2000),
  )


def test_unknown_activation_is_an_error():
  model = models.create("mlp", num_classes=2, activation="rleu")
  with pytest.raises(ValueError, match=r"unknown activation 'rleu'.*'relu'"):
    _init(model)


@pytest.mark.parametrize("name", ["mlp", "maxout_mlp"])
def test_initializer_is_that_of_the_hidden_kernels(name):
  model = models.create(name, num_classes=2, initializer="normal(3)")
  _, variables = _init(model)
  params = variables["params"]
  assert np.std(params["hidden_0"]["kernel"]) == pytest.approx(3, rel=0.05)
  assert np.std(params["hidden_1"]["kernel"]) == pytest.approx(3, rel=0.05)
  assert np.std(params["head"]["kernel"]) < 0.1
