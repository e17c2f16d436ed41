"""Tests of jaxvision.evaluation.probes.features."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from jaxvision import data, models, parallel
from jaxvision.evaluation.probes import features
from jaxvision.training import setup
from jaxvision.variables import variable_shapes

SIZE, SHAPE = 21, (4, 4, 1)
NORMALIZATION = data.Normalization((0.5,), (0.25,))


@pytest.fixture(scope="module")
def split(tmp_path_factory):
  """21 examples of 3 classes, 4 x 4 pixels."""
  folder = tmp_path_factory.mktemp("data")
  tiny_runs.write_data(folder)
  return setup.open_splits(tiny_runs.load_config(folder))["validation"]


@pytest.fixture(scope="module")
def pixels(split):
  images, labels = zip(*split.read(range(SIZE)), strict=True)
  return (np.stack(images) / 255.0 - 0.5) / 0.25, np.asarray(labels)


def _batches(split, batch_size=8, **options):
  return data.make_batches(
    split, batch_size=batch_size, channels=1, threads=1, **options
  )


def _mesh(devices=1):
  return parallel.make_mesh(jax.devices()[:devices])


def _read(split, model, variables, *, batch_size=8, devices=1, layer=None):
  return features.features(
    model,
    variables,
    _batches(split, batch_size),
    mesh=_mesh(devices),
    layer=layer,
    normalization=NORMALIZATION,
  )


def _init(model):
  images = jnp.zeros((1, *SHAPE))
  return jax.jit(lambda key: model.init(key, images, train=False))(
    jax.random.key(0)
  )


@pytest.mark.parametrize(
  ("devices", "batch_size"), [(1, 1), (1, 8), (1, 64), (8, 8), (8, 64)]
)
def test_every_example_once(split, pixels, devices, batch_size):
  images, labels = _read(
    split, None, {}, batch_size=batch_size, devices=devices, layer="pixels"
  )
  np.testing.assert_allclose(images, pixels[0], atol=1e-5)
  np.testing.assert_array_equal(labels, pixels[1])
  assert images.dtype == np.float32


def test_the_head_receives_them(split, pixels):
  """The last layer maps the features to the logits."""
  model = models.create("mlp", num_classes=3, hidden=(8, 5))
  variables = _init(model)
  found, labels = _read(split, model, variables)
  assert found.shape == (SIZE, 5)
  head = variables["params"]["head"]
  logits = model.apply(variables, pixels[0].astype(np.float32), train=False)
  np.testing.assert_allclose(
    found @ head["kernel"] + head["bias"][None], logits, rtol=1e-4, atol=1e-5
  )
  np.testing.assert_array_equal(labels, pixels[1])


@pytest.mark.parametrize(
  ("name", "options", "width"),
  [
    ("linear", {}, 64),
    ("vit_ti16", {"patch_size": 4, "depth": 1}, 192),
    ("vit_ti16", {"patch_size": 4, "depth": 2, "scan_layers": True}, 192),
    ("bit_r50x1", {"units": (1, 1), "stem": "small"}, 512),
  ],
)
def test_finds_the_head_of_any_model(name, options, width):
  """The number of its inputs, without running or naming it."""
  model = models.create(name, num_classes=3, **options)
  shape = (8, 8, 1)
  compute = features._make_features(model, shape, None)
  variables = variable_shapes(model, image_shape=shape)
  images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
  found = jax.eval_shape(compute, variables, images)
  assert (found.shape, found.dtype) == ((2, width), jnp.float32)


class _Convolutional(nn.Module):
  """Without a fully connected layer."""

  @nn.compact
  def __call__(self, images, *, train=False):
    return nn.Conv(3, (2, 2), name="only")(images).mean((1, 2))


def test_the_output_of_a_layer_averaged_over_positions(split, pixels):
  model = _Convolutional()
  variables = _init(model)
  found, _ = _read(split, model, variables, layer="only")
  logits = model.apply(variables, pixels[0].astype(np.float32))
  np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)


def test_a_model_without_head(split):
  model = _Convolutional()
  with pytest.raises(ValueError, match=r"no fully connected .* such as only"):
    _read(split, model, {})


def test_a_layer_that_is_misspelt(split):
  with pytest.raises(ValueError, match="did you mean 'only'"):
    _read(split, _Convolutional(), {}, layer="onyl")


def test_shuffled_batches(split):
  with pytest.raises(ValueError, match="are shuffled and repeat examples"):
    features.features(
      None,
      {},
      _batches(split, seed=0),
      mesh=_mesh(),
      layer="pixels",
      normalization=NORMALIZATION,
    )
