"""The default method of a model, and the check of given methods."""

import pytest
import small_classifiers

from jaxvision import interpret
from jaxvision.interpret import attributions

SHAPE = (16, 16, 3)


@pytest.mark.parametrize(
  ("name", "method", "by_class"),
  [
    ("resnet", "gradcam", "gradcam"),
    ("vit", "rollout", "gradcam"),
    ("linear", "gradient", "gradient"),
    pytest.param("mixer", "gradcam", "gradcam", marks=pytest.mark.slow),
  ],
)
def test_the_default_fits_the_model(name, method, by_class):
  model, _ = small_classifiers.classifier(name)
  assert interpret.default_method(model, image_shape=SHAPE) == method
  found = interpret.default_method(
    model, image_shape=SHAPE, preferred=interpret.PREFERRED_BY_CLASS
  )
  assert found == by_class
  assert found not in interpret.OF_NO_CLASS


def test_methods_are_checked_without_computing_them():
  model, _ = small_classifiers.classifier("resnet")

  def check(*methods):
    interpret.check_methods(methods, model, image_shape=SHAPE)

  check("gradcam", "smoothgrad(samples=2)", "rise(masks=8)")
  with pytest.raises(ValueError, match=r"rollout does not fit .*gradcam"):
    check("gradcam", "rollout(residual=0)")
  with pytest.raises(ValueError, match=r"'gradcan'.*did you mean 'gradcam'"):
    check("gradcan")
  with pytest.raises(ValueError, match="smaples"):
    check("smoothgrad(smaples=2)")


@pytest.mark.parametrize(
  ("name", "method", "message"),
  [
    ("resnet", "gradcam(layer='layer2_7')", "unknown layer 'layer2_7'"),
    ("resnet", "gradcam(layer='fc')", "last layers with a map: .*layer2_0"),
    ("vit", "attention(head=3)", "has 3 heads; use 0 to 2"),
    ("linear", "occlusion(window=17)", "window 17 is larger than images"),
  ],
)
def test_options_are_checked_without_computing_them(name, method, message):
  model, _ = small_classifiers.classifier(name)
  with pytest.raises(ValueError, match=message):
    interpret.check_methods((method,), model, image_shape=SHAPE)


def test_only_the_needs_of_preferred_methods_are_traced(monkeypatch):
  """The default method of each training must not cost traces in vain."""
  model, _ = small_classifiers.classifier("linear")
  traced = []
  checks = tuple(
    (lambda *args, name=name: traced.append(name), {name: None})
    for name in ("cam", "gradcam", "rollout")
  )
  monkeypatch.setattr(attributions, "_CHECKS", checks)
  found = interpret.default_method(
    model, image_shape=SHAPE, preferred=interpret.PREFERRED_BY_CLASS
  )
  assert (found, traced) == ("gradcam", ["gradcam"])


def test_names_of_calls():
  assert interpret.method_name(" smoothgrad (samples=2)") == "smoothgrad"
