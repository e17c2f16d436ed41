"""Tests of jaxvision.interpret.pooled_map: the head's weights on its map."""

import functools

import jax
import numpy as np
import pytest
import small_classifiers
import small_modules

from jaxvision import interpret, models
from jaxvision.interpret import attributions, pooled_map
from jaxvision.variables import one_image, variable_shapes

_TARGETS = np.array([2, 0, 3])
_HEADS = {
  "alexnet": "classifier_0",
  "resnet": "fc",
  "bit": "head",
  "efficientnet": "classifier",
  "shufflenet": "fc",
  "nasnet": "last_linear",
  "vit_mean": "head",
  "mixer": "head",
}


@pytest.mark.parametrize("name", _HEADS)
@pytest.mark.matrix("alexnet", "resnet", "efficientnet", "vit_mean")
def test_the_mean_of_the_map_and_the_bias_is_the_logit(name):
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  method = attributions.create("cam(sign='both', size='layer')")
  maps = method(model, variables, images, _TARGETS)
  bias = variables["params"][_HEADS[name]].get("bias", np.zeros(4))
  logits = small_classifiers.logits(model, variables, images)
  np.testing.assert_allclose(
    maps.mean(axis=(1, 2)) + bias[_TARGETS],
    logits[np.arange(3), _TARGETS],
    atol=2e-5,
  )


def test_the_map_is_behind_the_activation():
  model, variables = small_classifiers.classifier("efficientnet")
  images = small_classifiers.images()
  features, kernel = jax.jit(
    lambda x: pooled_map.pooled_map(model, variables, x)
  )(images)
  tap = functools.partial(interpret.tap, model, layers=["bn2"])
  expected = jax.nn.swish(jax.jit(tap)(variables, images)["bn2"])
  np.testing.assert_allclose(features, expected, atol=1e-5)
  expected = variables["params"]["classifier"]["kernel"]
  np.testing.assert_array_equal(kernel, expected)


def test_it_is_grad_cam_times_the_number_of_positions():
  model, variables = small_classifiers.classifier("resnet")
  args = (model, variables, small_classifiers.images(), _TARGETS)
  cam, grad_cam = (
    np.asarray(attributions.create(f"{name}(sign='both', size='layer')")(*args))
    for name in ("cam", "gradcam")
  )
  np.testing.assert_allclose(cam, 64 * grad_cam, atol=1e-5)


@pytest.mark.parametrize(
  "name", ["vgg", "vit", "vit_map", "vit_distilled", "mlp", "linear"]
)
def test_other_heads_do_not_fit(name):
  model, variables = small_classifiers.classifier(name)
  with pytest.raises(ValueError, match="cam needs logits that are a linear"):
    pooled_map.check(model, variables, small_classifiers.images())


def _check(model, image_shape):
  shapes = variable_shapes(model, image_shape=image_shape)
  pooled_map.check(model, shapes, one_image(image_shape))


def test_a_head_of_two_layers_does_not_fit():
  model = models.create(
    "low_data_densenet", num_classes=3, blocks=(1,), growth=4, stem="small"
  )
  with pytest.raises(ValueError, match="'head' does not read a mean"):
    _check(model, (8, 8, 3))


def test_a_mean_behind_the_last_layer_does_not_fit():
  """`Nested` has a linear layer of a mean, `Twice` a mean of a linear layer."""
  nested = small_modules.Nested()
  _check(nested, (4, 4, 3))
  with pytest.raises(ValueError, match="the logits are not a linear layer"):
    _check(small_modules.Twice(), (4, 4, 3))
