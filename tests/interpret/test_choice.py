"""The default method of a model, and the check of given methods."""

import pytest
import small_classifiers

from jaxvision import interpret

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


def test_names_of_calls():
  assert interpret.method_name(" smoothgrad (samples=2)") == "smoothgrad"
