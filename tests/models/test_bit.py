"""BiT: its differences from a ResNet; parity tests compare its logits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models, trees
from jaxvision.variables import variable_shapes

SMALL = {"units": (2, 3), "width": 1}


def _model(**options):
  return models.create("bit_r50x1", num_classes=4, **{**SMALL, **options})


@functools.cache
def _variables(**options):
  model = _model(**options)
  images = jnp.zeros((1, 16, 16, 3))
  return jax.jit(functools.partial(model.init, train=False))(
    jax.random.key(0), images
  )


def _with_head(variables):
  kernel = variables["params"]["head"]["kernel"]
  head = {
    "kernel": jax.random.normal(jax.random.key(1), kernel.shape),
    "bias": jnp.zeros(kernel.shape[-1]),
  }
  return {"params": {**variables["params"], "head": head}}


@pytest.mark.slow
def test_classifier_starts_at_its_bias():
  model = _model(head_bias=-6.9)
  images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
  apply = jax.jit(functools.partial(model.apply, train=False))
  logits = apply(_variables(head_bias=-6.9), images)
  np.testing.assert_array_equal(logits, np.full((2, 4), np.float32(-6.9)))


def test_there_are_no_batch_statistics():
  assert set(_variables()) == {"params"}


def test_no_bias_but_those_of_norms_and_head():
  paths = trees.flatten(_variables()["params"])
  biases = {p.split("/")[-2] for p in paths if p.endswith("bias")}
  assert biases == {"gn1", "gn2", "gn3", "norm-pre-head", "head"}


def test_the_pool_of_the_root_sees_zeros_at_the_border():
  """If all values are negative, the zeros of the border are the maximum."""
  model = _model(stem="imagenet")
  variables = _variables()
  kernel = variables["params"]["root_block"]["conv_root"]["kernel"]
  images = jax.random.normal(jax.random.key(2), (1, 16, 16, 3))
  apply = functools.partial(
    model.apply,
    train=False,
    capture_intermediates=lambda module, _: module.name == "root_block",
  )
  _, captured = jax.jit(apply)(variables, images)
  y = captured["intermediates"]["root_block"]["__call__"][0]
  assert y.shape == (1, 4, 4, kernel.shape[-1])
  assert y[:, 0].min() >= 0
  assert y[:, :, 0].min() >= 0
  assert y[:, 1:, 1:].min() < 0


def test_width_multiplies_all_features():
  narrow, wide = (
    variable_shapes(_model(width=w), image_shape=(16, 16, 3)) for w in (1, 3)
  )
  for path, leaf in trees.flatten(wide["params"]).items():
    expected = trees.flatten(narrow["params"])[path].shape
    fixed = {3, 4, 7, 1}  # colours, classes, kernel sizes
    assert leaf.shape == tuple(n if n in fixed else 3 * n for n in expected)


@pytest.mark.slow
@pytest.mark.parametrize("size", [31, 32])
def test_small_stem_keeps_the_resolution(size):
  model = _model(stem="small")
  variables = _with_head(_variables(stem="small"))
  images = jax.random.normal(jax.random.key(2), (2, size, size, 3))
  logits = jax.jit(functools.partial(model.apply, train=False))(
    variables, images
  )
  assert np.isfinite(logits).all()
  shape = variable_shapes(model, image_shape=(size, size, 3))
  kernel = shape["params"]["root_block"]["conv_root"]["kernel"]
  assert kernel.shape == (3, 3, 3, 64)


@pytest.mark.slow
def test_scanned_units_give_the_same_logits_and_gradients():
  variables = _with_head(_variables())
  images = jax.random.normal(jax.random.key(2), (2, 16, 16, 3))

  def loss(params, scan):
    logits = _model(scan_layers=scan).apply(
      {"params": params}, images, train=True
    )
    return jnp.square(logits).mean()

  both = [
    jax.jit(jax.value_and_grad(functools.partial(loss, scan=scan)))(
      variables["params"]
    )
    for scan in (False, True)
  ]
  for plain, scanned in zip(*map(jax.tree.leaves, both), strict=True):
    # Each sum has the rounding of its largest terms.
    scale = np.abs(plain).max()
    np.testing.assert_allclose(scanned, plain, rtol=0, atol=3e-5 * scale)


def test_unknown_stem_names_the_nearest():
  model = _model(stem="smal")
  with pytest.raises(ValueError, match=r"'smal'.*'small'"):
    variable_shapes(model, image_shape=(16, 16, 3))
