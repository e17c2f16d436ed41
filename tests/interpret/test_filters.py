"""Tests of jaxvision.interpret.filters: the first layer as images."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_modules

from jaxvision import interpret, models


def test_first_layer_of_the_linear_model_is_its_templates():
  model = models.create("linear", num_classes=5)
  params = small_modules.random_params(model, (4, 6, 2))
  path, filters = interpret.first_layer(
    model, params=params, image_shape=(4, 6, 2)
  )
  assert path == "head/kernel"
  assert filters.shape == (5, 4, 6, 2)
  image = small_modules.random_arrays(
    jax.ShapeDtypeStruct((4, 6, 2), jnp.float32)
  )
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
    params = small_modules.random_params(model, (8, 8, 3))
    found, filters = interpret.first_layer(
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
  params = small_modules.random_params(model, (4, 4, 1))
  path, filters = interpret.first_layer(
    model, params=params, image_shape=(4, 4, 1)
  )
  assert path == "hidden_0/kernel"
  np.testing.assert_array_equal(
    filters[3].ravel(), params["hidden_0"]["kernel"][:, 3]
  )


def test_first_layer_of_maxout_has_one_picture_per_piece():
  model = models.create("maxout_mlp", num_classes=3, hidden=(4,), pieces=5)
  params = small_modules.random_params(model, (4, 4, 1))
  _, filters = interpret.first_layer(
    model, params=params, image_shape=(4, 4, 1)
  )
  assert filters.shape == (20, 4, 4, 1)
  np.testing.assert_array_equal(
    filters[7].ravel(), params["hidden_0"]["kernel"][:, 7]
  )


class _Layers(nn.Module):
  """Applies `build`, a function of the images, and flattens its result."""

  build: object

  @nn.compact
  def __call__(self, images, *, train):
    del train
    return self.build(images).reshape(images.shape[0], -1)


def test_first_layer_that_does_not_read_pixels_is_an_error():
  model = _Layers(lambda x: nn.Dense(2, name="late")(x.mean(axis=(1, 2))))
  with pytest.raises(ValueError, match=r"late/kernel has shape \(3, 2\)"):
    interpret.first_layer(
      model,
      params=small_modules.random_params(model, (4, 4, 3)),
      image_shape=(4, 4, 3),
    )


def test_model_without_kernels_is_an_error():
  model = _Layers(lambda x: nn.BatchNorm(use_running_average=True)(x))
  with pytest.raises(ValueError, match="no layer with a kernel"):
    interpret.first_layer(model, params={}, image_shape=(4, 4, 3))
