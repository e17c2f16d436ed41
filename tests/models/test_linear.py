"""The linear classifier: templates and initial logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models


def test_logits_are_inner_products_with_templates():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(3, 4, 5, 2)).astype(np.float32)
  templates = rng.normal(size=(7, 4, 5, 2)).astype(np.float32)
  bias = rng.normal(size=7).astype(np.float32)
  kernel = np.stack([template.ravel() for template in templates], axis=1)
  logits = models.create("linear", num_classes=7).apply(
    {"params": {"head": {"kernel": kernel, "bias": bias}}}, images, train=False
  )
  expected = [[(x * t).sum() for t in templates] + bias for x in images]
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_untrained_logits_are_zero():
  model = models.create("linear", num_classes=3)
  images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
  variables = jax.jit(lambda key: model.init(key, images, train=False))(
    jax.random.key(1)
  )
  logits = model.apply(variables, images, train=False)
  np.testing.assert_array_equal(logits, jnp.zeros((2, 3)))


def test_initializer_is_that_of_the_templates():
  model = models.create("linear", num_classes=3, initializer="normal(0.01)")
  images = jnp.zeros((1, 32, 32, 3))
  variables = model.init(jax.random.key(1), images, train=False)
  kernel = variables["params"]["head"]["kernel"]
  assert np.std(kernel) == pytest.approx(0.01, rel=0.05)
