"""Tests of jaxvision.variables."""

import jax
import jax.numpy as jnp

from jaxvision import models
from jaxvision.variables import variable_shapes


def test_variable_shapes_are_those_of_init():
  model = models.create("resnet18", num_classes=3, blocks=(1,), stem="small")
  images = jnp.zeros((2, 8, 8, 1))
  variables = jax.jit(lambda key: model.init(key, images, train=False))(
    jax.random.key(0)
  )
  expected = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
  shapes = variable_shapes(model, image_shape=(8, 8, 1))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == expected
