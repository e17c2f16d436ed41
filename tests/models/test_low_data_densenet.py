"""The classifier with a bit for real images."""

import functools

import jax
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.variables import draw, variable_shapes

SMALL = {"blocks": (1, 1), "growth": 4, "features": 4, "stem": "small"}


def test_it_has_the_parameters_of_the_public_code():
  """github.com/amurthy1/dagan_torch, 100 classes of grey images."""
  model = models.create("low_data_densenet", num_classes=100)
  shapes = variable_shapes(model, image_shape=(224, 224, 1))
  assert trees.count(shapes["params"]) == 193_668
  rgb = models.create("low_data_densenet", num_classes=1000)
  shapes = variable_shapes(rgb, image_shape=(224, 224, 3))
  spec = models.spec("low_data_densenet")
  assert trees.count(shapes["params"]) == spec.parameters


def test_images_are_real_unless_it_is_said():
  model = models.create("low_data_densenet", num_classes=3, **SMALL)
  variables = draw(model, image_shape=(8, 8, 1))
  images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
  apply = jax.jit(functools.partial(model.apply, train=False))
  logits = [
    np.asarray(apply(variables, images, **each))
    for each in ({}, {"generated": np.zeros(4)}, {"generated": np.eye(4)[0]})
  ]
  np.testing.assert_array_equal(logits[0], logits[1])
  assert np.abs(logits[0][0] - logits[2][0]).max() > 1e-3
  np.testing.assert_array_equal(logits[0][1:], logits[2][1:])


def test_small_images_and_unknown_stems_are_refused():
  with pytest.raises(ValueError, match="too small for the blocks"):
    variable_shapes(
      models.create("low_data_densenet", num_classes=3),
      image_shape=(28, 28, 1),
    )
  with pytest.raises(ValueError, match=r"'smal'.*'small'"):
    variable_shapes(
      models.create("low_data_densenet", num_classes=3, stem="smal"),
      image_shape=(28, 28, 1),
    )
