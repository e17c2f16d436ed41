"""Tests of spelling: messages, and options checked against code."""

import subprocess
import sys

import pytest
from flax import linen as nn

from jaxvision import lookup


class Layer(nn.Module):
  features: int
  rate: float = 0.5


def scale(image, *, factor=2.0, activation=abs):
  return activation(image) * factor


def test_nearest_puts_the_best_first_and_ignores_case():
  known = ["resnet50", "resnet18", "vit_b16", "Adam"]
  assert lookup.nearest("resnt18", known).startswith("'resnet18'")
  assert lookup.nearest("adam", known) == "'Adam'"


def test_nearest_is_empty_for_an_unlike_name():
  assert lookup.nearest("qqq", ["resnet50", "vit_b16"]) == ""


def test_nearest_gives_at_most_n():
  known = ["conv1", "conv2", "conv3", "conv4"]
  assert len(lookup.nearest("conv", known, n=2).split(", ")) == 2


def test_unknown_names_value_nearest_and_known():
  message = lookup.unknown("loss", "sofmax", ["softmax", "hinge"])
  assert message == (
    "unknown loss 'sofmax'; did you mean 'softmax'? known: hinge, softmax"
  )


def test_unknown_cuts_long_lists_and_says_so():
  message = lookup.unknown("model", "zzz", [f"model{i}" for i in range(99)])
  assert "(99 in all)" in message
  assert message.count("model") < 50


def test_bind_returns_the_function_with_its_options():
  assert lookup.bind(scale, {"factor": 3.0}, "here")(-2) == 6.0


def test_bind_names_the_nearest_option_and_all_defaults():
  with pytest.raises(ValueError) as error:
    lookup.bind(scale, {"facter": 3.0}, "data.options")
  message = str(error.value)
  assert message.startswith("data.options: scale has no option 'facter'")
  assert "did you mean 'factor'?" in message
  assert "factor=2.0" in message and "activation=abs" in message


def test_bind_knows_the_fields_of_a_linen_module():
  assert lookup.bind(Layer, {"rate": 0.1}, "here")(features=3).rate == 0.1
  with pytest.raises(ValueError, match=r"options: features, rate=0\.5$"):
    lookup.bind(Layer, {"widht": 1}, "here")
  with pytest.raises(ValueError, match="'name'"):
    lookup.bind(Layer, {"name": "x"}, "here")


def test_bind_explains_a_reserved_option():
  reserved = {"image": "the loader gives it"}
  with pytest.raises(ValueError, match="'image' is not an option; the loader"):
    lookup.bind(scale, {"image": 1}, "here", reserved=reserved)
  with pytest.raises(ValueError) as error:
    lookup.bind(scale, {"facter": 1}, "here", reserved=reserved)
  assert "image" not in str(error.value)


def test_bind_accepts_all_where_the_function_does():
  def free(**options):
    return options

  assert lookup.bind(free, {"anything": 1}, "here")() == {"anything": 1}


def test_spelling_does_not_import_jax():
  code = "import sys, jaxvision.lookup.spelling; sys.exit('jax' in sys.modules)"
  assert (
    subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
  )
