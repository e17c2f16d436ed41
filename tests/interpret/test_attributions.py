"""Tests of jaxvision.interpret.attributions: all methods on all families."""

import numpy as np
import pytest
import small_classifiers

from jaxvision import interpret
from jaxvision.interpret import attributions

_TARGETS = np.array([2, 0, 3])
_PIXELS = {
  *("gradient", "x_gradient", "smoothgrad", "integrated_gradients"),
  *("occlusion", "rise"),
}
_MAPS = {*_PIXELS, "gradcam", "gradcam_pp", "hirescam", "layercam"}
_ATTENTION = {*_MAPS, "attention", "rollout", "gradient_rollout", "flow"}
_FITTING = {
  "alexnet": {*_MAPS, "cam"},
  "vgg": _MAPS,
  "resnet": {*_MAPS, "cam"},
  "bit": {*_MAPS, "cam"},
  "efficientnet": {*_MAPS, "cam"},
  "shufflenet": {*_MAPS, "cam"},
  "nasnet": {*_MAPS, "cam"},
  "vit": _ATTENTION,
  "vit_mean": {*_ATTENTION, "cam"},
  "vit_map": _ATTENTION,
  "vit_distilled": _ATTENTION,
  "mixer": {*_MAPS, "cam"},
  "mlp": _PIXELS,
  "linear": _PIXELS,
}
# Fewer samples than by default.
_OPTIONS = {
  "smoothgrad": "smoothgrad(samples=2)",
  "integrated_gradients": "integrated_gradients(steps=2)",
  "rise": "rise(masks=10)",
  "occlusion": "occlusion(window=8)",
  # Of a random network, all values of this map may be negative.
  "gradcam_pp": "gradcam_pp(sign='both')",
}


def test_the_table_lists_every_method():
  assert set(attributions.ATTRIBUTIONS) == {*_ATTENTION, "cam"}


@pytest.mark.parametrize("name", small_classifiers.SMALL)
def test_the_methods_that_fit(name):
  model, _ = small_classifiers.classifier(name)
  found = interpret.fitting(model, image_shape=(16, 16, 3))
  assert set(found) == _FITTING[name] and len(found) == len(_FITTING[name])


def test_flow_does_not_fit_many_tokens():
  model, _ = small_classifiers.classifier("vit", side=36)
  found = interpret.fitting(model, image_shape=(36, 36, 3))
  assert set(found) == _ATTENTION - {"flow"}


@pytest.mark.parametrize(
  ("name", "method"),
  [
    (name, method)
    for name in ("resnet", "vit", "mixer", "vgg", "mlp", "shufflenet", "nasnet")
    for method in sorted(_FITTING[name])
  ],
)
@pytest.mark.matrix(every=8)
def test_the_map_of_an_image_does_not_depend_on_the_others(name, method):
  """Parts of two images, the second one filled, and images one by one."""
  model, variables = small_classifiers.classifier(name)
  images = small_classifiers.images()
  text = _OPTIONS.get(method, method)
  attribute = lambda images, targets, n: interpret.attribute(  # noqa: E731
    text, model, variables, images, targets, batch_size=n
  )
  maps = attribute(images, _TARGETS, 2)
  assert maps.shape == (3, 16, 16) and maps.dtype == np.float32
  assert np.isfinite(maps).all() and maps.any()
  turned = attribute(images[::-1], _TARGETS[::-1], 64)
  scale = np.abs(maps).max()
  np.testing.assert_allclose(turned[::-1], maps, atol=1e-3 * scale)


def test_one_shape_is_compiled_once(compiled):
  """Also for another object of an equal method and model."""
  model, variables = small_classifiers.classifier("resnet", channels=1)
  images = small_classifiers.images(5, channels=1)
  targets = np.arange(5) % 4
  arguments = (variables, images, targets)
  interpret.attribute("gradcam", model, *arguments, batch_size=2)
  before = len(compiled)
  interpret.attribute("gradcam()", model.clone(), *arguments, batch_size=2)
  assert len(compiled) == before


@pytest.mark.parametrize(
  ("name", "method", "message"),
  [
    ("resnet", "rollout", r"ResNet has no attention.*that fit: cam, gradcam,"),
    ("resnet", "flow", r"ResNet has no tokens.*methods that fit: cam, gradcam"),
    ("vgg", "cam", r"in Vgg 'classifier_3' .* fit: gradcam, .*, rise$"),
    ("mlp", "gradcam", r"no layer of Mlp has a map .* fit: gradient, x_grad"),
    ("resnet", "gradcm", r"unknown method of attribution 'gradcm'; did you"),
    ("resnet", "gradcam(layr='fc')", r"no option 'layr'; did you mean 'layer'"),
    ("resnet", "gradcam(layer='fc')", r"'fc' is not a map.*: .*bn, layer2_0"),
    ("resnet", "rise(masks=0)", r"masks is 0; it must be a whole number"),
  ],
)
def test_errors_name_what_fits(name, method, message):
  model, variables = small_classifiers.classifier(name)
  with pytest.raises(ValueError, match=message):
    interpret.attribute(
      method, model, variables, small_classifiers.images(), _TARGETS
    )


@pytest.mark.parametrize(
  ("images", "targets", "message"),
  [
    (np.zeros((3, 16, 16)), _TARGETS, r"images have shape \(3, 16, 16\)"),
    (np.zeros((0, 16, 16, 3)), _TARGETS[:0], "with n above 0"),
    (np.zeros((3, 16, 16, 3), np.uint8), _TARGETS, "images are uint8"),
    (np.zeros((3, 16, 16, 3)), _TARGETS[:2], r"targets have shape \(2,\)"),
    (np.zeros((3, 16, 16, 3)), _TARGETS + 1, "from 1 to 4; expected .* 0 to 3"),
    (np.zeros((3, 16, 16, 3)), _TARGETS - 1, "from -1 to 2"),
    (np.zeros((3, 16, 16, 3)), _TARGETS / 2, "targets are float64"),
  ],
)
def test_invalid_images_and_targets_are_errors(images, targets, message):
  model, variables = small_classifiers.classifier("resnet")
  with pytest.raises(ValueError, match=message):
    interpret.attribute("gradcam", model, variables, images, targets)


def test_a_method_of_the_user(tmp_path):
  path = tmp_path / "my_method.py"
  path.write_text(
    "def brightness(factor=1.0):\n"
    "  def attribute(model, variables, images, targets):\n"
    "    return factor * images.mean(axis=-1)\n"
    "  return attribute\n"
  )
  model, variables = small_classifiers.classifier("linear")
  images = small_classifiers.images()
  maps = interpret.attribute(
    f"{path}:brightness(factor=2.0)", model, variables, images, _TARGETS
  )
  np.testing.assert_allclose(maps, 2 * images.mean(axis=-1), rtol=1e-5)
