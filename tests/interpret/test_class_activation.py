"""Tests of jaxvision.interpret.class_activation: worked maps, invariances."""

import functools

import jax
import numpy as np
import pytest
import small_classifiers

from jaxvision.interpret import attributions, class_activation

# Two channels of 2x2 positions, and gradients, as (b, h, w, c).
_FEATURES = np.stack([[[1, 2], [3, 4]], [[0, 1], [1, 0]]], -1)[None] * 1.0
_GRADIENT = np.stack([[[0.1, 0.2], [0.3, 0.4]], [[-1, 0], [0, -1]]], -1)[None]
_TARGETS = np.array([2, 0, 3])


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("gradcam", [[0.25, 0], [0.25, 1]]),
    ("gradcam_pp", [[0.209998, 0.419997], [0.629995, 0.839993]]),
    ("hirescam", [[0.1, 0.4], [0.9, 1.6]]),
    ("layercam", [[0.1, 0.4], [0.9, 1.6]]),
  ],
)
def test_worked_maps(name, expected):
  found = class_activation.FORMULAS[name](_FEATURES, _GRADIENT)
  np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_weights_of_grad_cam_pp_without_the_constant():
  """g^2 / (2 g^2 + S g^3) is 1 / (2 + S g)."""
  tiny = 1e-4 * _GRADIENT
  found = class_activation.grad_cam_pp(_FEATURES, tiny, epsilon=0)
  weight = (1e-4 * _GRADIENT[..., 0] / (2 + 1e-3 * _GRADIENT[..., 0])).sum()
  np.testing.assert_allclose(found, weight * _FEATURES[..., 0], rtol=1e-5)
  with_constant = class_activation.grad_cam_pp(_FEATURES, tiny)
  assert with_constant.max() < 0.01 * found.max()


def test_grad_cam_pp_where_its_divisor_vanishes():
  """2 g^2 + S g^3 is 0 at g = -2 / S, and there the gradient has no weight."""
  features = np.full((1, 2, 2, 1), 0.5)
  gradient = np.array([-1.0, 1, 0, 0]).reshape(1, 2, 2, 1)
  found = class_activation.grad_cam_pp(features, gradient, epsilon=0)
  np.testing.assert_allclose(found, np.full((1, 2, 2), 0.5 / 4), rtol=1e-6)


def _raw(name, model, variables, images, layer=None):
  options = {"sign": "both", "size": "layer", "layer": layer}
  method = attributions.ATTRIBUTIONS[name](**options)
  return np.asarray(method(model, variables, images, _TARGETS))


@pytest.mark.parametrize(
  ("family", "layer"),
  [
    ("resnet", None),
    ("vit_mean", "Transformer/encoder_norm"),
    ("mixer", "pre_head_layer_norm"),
  ],
)
@pytest.mark.parametrize("name", ["gradcam", "hirescam"])
def test_map_of_the_pooled_layer_sums_to_the_logit(family, layer, name):
  model, variables = small_classifiers.classifier(family)
  images = small_classifiers.images()
  maps = _raw(name, model, variables, images, layer)
  head = variables["params"]["fc" if family == "resnet" else "head"]
  logits = np.asarray(small_classifiers.logits(model, variables, images))
  np.testing.assert_allclose(
    maps.sum(axis=(1, 2)) + head["bias"][_TARGETS],
    logits[np.arange(3), _TARGETS],
    atol=2e-5,
  )


def _with_head(variables, change):
  head = {
    name: change(name, x) for name, x in variables["params"]["fc"].items()
  }
  return {**variables, "params": {**variables["params"], "fc": head}}


@pytest.mark.parametrize("name", class_activation.FORMULAS)
def test_a_constant_of_all_logits_changes_nothing(name):
  model, variables = small_classifiers.classifier("resnet")
  moved = _with_head(variables, lambda name, x: x + 7 * (name == "bias"))
  images = small_classifiers.images()
  np.testing.assert_array_equal(
    _raw(name, model, moved, images), _raw(name, model, variables, images)
  )


@pytest.mark.parametrize("name", ["gradcam", "hirescam", "layercam"])
def test_a_scale_of_the_head_scales_the_raw_map(name):
  model, variables = small_classifiers.classifier("resnet")
  scaled = _with_head(variables, lambda name, x: 3 * x)
  images = small_classifiers.images()
  maps = _raw(name, model, variables, images)
  assert np.abs(maps).max() > 1e-3
  np.testing.assert_allclose(
    _raw(name, model, scaled, images), 3 * maps, rtol=1e-4, atol=1e-6
  )


@pytest.mark.parametrize("name", class_activation.FORMULAS)
def test_a_flipped_image_has_the_flipped_map(name):
  """A network of one stage, with kernels that equal their mirror images."""
  model, variables = small_classifiers.classifier("resnet", blocks=(1,))
  variables = jax.tree.map(
    lambda x: (x + x[:, ::-1]) / 2 if x.ndim == 4 else x, variables
  )
  images = small_classifiers.images()
  maps = _raw(name, model, variables, images)
  flipped = _raw(name, model, variables, images[:, :, ::-1])
  np.testing.assert_allclose(flipped, maps[:, :, ::-1], atol=1e-5)
  assert np.abs(maps - maps[:, :, ::-1]).max() > 1e-2 * np.abs(maps).max()


def test_options_of_the_finished_map():
  model, variables = small_classifiers.classifier("resnet")
  images = small_classifiers.images()
  compute = functools.partial(
    lambda text: np.asarray(
      attributions.create(text)(model, variables, images, _TARGETS)
    )
  )
  raw = compute("gradcam(sign='both', size='layer')")
  assert raw.shape == (3, 8, 8) and raw.min() < 0
  positive = compute("gradcam(size='layer')")
  np.testing.assert_array_equal(positive, np.maximum(raw, 0))
  assert compute("gradcam").shape == (3, 16, 16)
  earlier = compute("gradcam(layer='layer1_0', size='layer')")
  assert earlier.shape == (3, 16, 16)
