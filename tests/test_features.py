"""Tables, operation counts, and first layers of models."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import features, models


def _random(shapes):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(x.dtype), shapes
  )


def _params(model, image_shape):
  shapes = features.variable_shapes(model, image_shape=image_shape)
  return _random(shapes["params"])


def test_variable_shapes_are_those_of_init():
  model = models.create("resnet18", num_classes=3, blocks=(1,), stem="small")
  images = jnp.zeros((2, 8, 8, 1))
  variables = jax.jit(lambda key: model.init(key, images, train=False))(
    jax.random.key(0)
  )
  expected = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
  shapes = features.variable_shapes(model, image_shape=(8, 8, 1))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == expected


def test_parameter_table():
  model = models.create("mlp", num_classes=3, hidden=(5,))
  params = _params(model, (2, 2, 1))
  assert features.parameter_table(params) == [
    ("head/bias", (3,), 3),
    ("head/kernel", (5, 3), 15),
    ("hidden_0/bias", (5,), 5),
    ("hidden_0/kernel", (4, 5), 20),
  ]


@pytest.mark.parametrize(
  "name, expected",
  [  # GMACs at 224 pixels, counted by public implementations
    ("resnet18", 1.814),
    ("resnet50", 4.089),
    ("vit_b16", 17.56),
  ],
)
def test_flops_equal_the_published_counts(name, expected):
  model = models.create(name, num_classes=1000)
  flops = features.flops_per_image(model, image_shape=(224, 224, 3))
  assert flops / 2e9 == pytest.approx(expected, rel=1e-3)


class _Layers(nn.Module):
  """Applies `build`, a function of the images, and flattens its result."""

  build: object

  @nn.compact
  def __call__(self, images, *, train):
    del train
    return self.build(images).reshape(images.shape[0], -1)


@pytest.mark.parametrize(
  "build, expected",
  [
    (lambda x: nn.Dense(7)(x), 8 * 8 * 3 * 7),
    (
      lambda x: nn.Conv(6, (3, 5), strides=2, padding=((1, 1), (2, 2)))(x),
      4 * 4 * 3 * 5 * 3 * 6,
    ),
    (
      lambda x: nn.Conv(6, (3, 3), feature_group_count=3)(x),
      8 * 8 * 3 * 3 * 6,  # each output reads one channel
    ),
    (lambda x: jax.checkpoint(lambda y: y @ jnp.ones((3, 4)))(x), 64 * 12),
    (
      lambda x: jax.lax.scan(
        lambda y, _: (y @ jnp.ones((3, 3)), None), x, length=7
      )[0],
      64 * 9 * 7,
    ),
    (
      lambda x: jax.lax.cond(
        x.sum() > 0, lambda: x @ jnp.ones((3, 2)), lambda: x[..., :2]
      ),
      64 * 6,
    ),
    (lambda x: nn.gelu(x), 0),
  ],
  ids=["dense", "conv", "grouped", "remat", "scan", "cond", "elementwise"],
)
def test_flops_of_single_operations(build, expected):
  flops = features.flops_per_image(_Layers(build), image_shape=(8, 8, 3))
  assert flops == 2 * expected


def test_first_layer_of_the_linear_model_is_its_templates():
  model = models.create("linear", num_classes=5)
  params = _params(model, (4, 6, 2))
  path, filters = features.first_layer(
    model, params=params, image_shape=(4, 6, 2)
  )
  assert path == "head/kernel"
  assert filters.shape == (5, 4, 6, 2)
  image = _random(jax.ShapeDtypeStruct((4, 6, 2), jnp.float32))
  logits = model.apply({"params": params}, image[None], train=False)[0]
  np.testing.assert_allclose(
    (filters * image).sum(axis=(1, 2, 3)) + params["head"]["bias"],
    logits,
    rtol=1e-4,
    atol=1e-4,
  )


def test_first_layer_of_convolutions_and_patches_is_their_kernels():
  for name, options, path in (
    ("resnet50", {"blocks": (1,), "stem": "small"}, "conv1/kernel"),
    ("vit_ti16", {"patch_size": 4, "depth": 1}, "embedding/kernel"),
  ):
    model = models.create(name, num_classes=5, **options)
    params = _params(model, (8, 8, 3))
    found, filters = features.first_layer(
      model, params=params, image_shape=(8, 8, 3)
    )
    kernel = params[path.split("/")[0]]["kernel"]
    assert found == path
    assert filters.shape == (64, *kernel.shape[:3])
    for i in (0, 1, 63):
      np.testing.assert_array_equal(filters[i], kernel[..., i])


def test_first_layer_is_found_where_shapes_are_ambiguous():
  """All layers of this perceptron have kernels of the size of the image."""
  model = models.create("mlp", num_classes=16, hidden=(16, 16))
  params = _params(model, (4, 4, 1))
  path, filters = features.first_layer(
    model, params=params, image_shape=(4, 4, 1)
  )
  assert path == "hidden_0/kernel"
  np.testing.assert_array_equal(
    filters[3].ravel(), params["hidden_0"]["kernel"][:, 3]
  )


def test_first_layer_of_maxout_has_one_picture_per_piece():
  model = models.create("maxout_mlp", num_classes=3, hidden=(4,), pieces=5)
  params = _params(model, (4, 4, 1))
  _, filters = features.first_layer(model, params=params, image_shape=(4, 4, 1))
  assert filters.shape == (20, 4, 4, 1)
  np.testing.assert_array_equal(
    filters[7].ravel(), params["hidden_0"]["kernel"][:, 1, 2]
  )


def test_first_layer_that_does_not_read_pixels_is_an_error():
  model = _Layers(lambda x: nn.Dense(2, name="late")(x.mean(axis=(1, 2))))
  with pytest.raises(ValueError, match=r"late/kernel has shape \(3, 2\)"):
    features.first_layer(
      model, params=_params(model, (4, 4, 3)), image_shape=(4, 4, 3)
    )


def test_model_without_kernels_is_an_error():
  model = _Layers(lambda x: nn.BatchNorm(use_running_average=True)(x))
  with pytest.raises(ValueError, match="no layer with a kernel"):
    features.first_layer(model, params={}, image_shape=(4, 4, 3))
