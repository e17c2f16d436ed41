"""Position embeddings of a ViT, and models without positions."""

import functools

import jax
import numpy as np
import pytest

from jaxvision import models
from jaxvision.variables import variable_shapes

SMALL = {
  "patch_size": 4,
  "width": 12,
  "depth": 1,
  "mlp_dim": 20,
  "num_heads": 3,
}


def _create(**options):
  return models.create("vit_ti16", num_classes=5, **{**SMALL, **options})


def _variables(model, *, image_shape=(8, 12, 2)):
  """Returns random variables; the zeros of `init` would hide mistakes."""
  rng = np.random.default_rng(0)
  shapes = variable_shapes(model, image_shape=image_shape)
  return jax.tree.map(
    lambda x: rng.normal(size=x.shape, scale=0.5).astype(x.dtype), shapes
  )


def _images(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _logits(model, variables, images):
  return jax.jit(functools.partial(model.apply, train=False))(variables, images)


def _permuted(images, order, *, patch_size=4):
  """Returns the images with their patches, counted row by row, reordered."""
  b, h, w, c = images.shape
  p = patch_size
  grid = images.reshape(b, h // p, p, w // p, p, c).swapaxes(2, 3)
  grid = grid.reshape(b, -1, p, p, c)[:, order]
  grid = grid.reshape(b, h // p, w // p, p, p, c).swapaxes(2, 3)
  return grid.reshape(b, h, w, c)


@pytest.mark.parametrize("pool", ["token", "mean"])
def test_only_the_positions_tell_the_order_of_patches(pool):
  model = _create(pool=pool)
  variables = _variables(model)
  images = _images(2, 8, 12, 2)
  order = np.array([3, 0, 5, 1, 4, 2])
  permuted = _permuted(images, order)
  logits = _logits(model, variables, images)
  assert np.abs(_logits(model, variables, permuted) - logits).max() > 0.01

  # Moving each position along with its patch undoes the permutation.
  positions = variables["params"]["Transformer"]["posembed_input"]
  first = 1 if pool == "token" else 0  # The class token keeps its position.
  table = positions["pos_embedding"].copy()
  table[:, first:] = table[:, first:][:, order]
  positions["pos_embedding"] = table
  np.testing.assert_allclose(
    _logits(model, variables, permuted), logits, rtol=1e-4, atol=1e-4
  )


@pytest.mark.parametrize(
  "options",
  [
    {"pool": "token", "registers": 2},
    {"pool": "mean"},
    {"pool": "map"},
  ],
)
def test_without_positions_an_image_is_a_set_of_patches(options):
  model = _create(positions="none", **options)
  variables = _variables(model)
  assert "posembed_input" not in variables["params"]["Transformer"]
  images = _images(2, 8, 12, 2)
  permuted = _permuted(images, np.array([3, 0, 5, 1, 4, 2]))
  np.testing.assert_allclose(
    _logits(model, variables, permuted),
    _logits(model, variables, images),
    rtol=1e-3,
    atol=1e-3,
  )


@pytest.mark.parametrize("kind", ["sincos2d", "rotary"])
def test_fixed_positions_tell_the_order_at_any_size(kind):
  model = _create(positions=kind)
  variables = _variables(model)
  assert "posembed_input" not in variables["params"]["Transformer"]
  for shape in ((8, 12), (16, 4)):
    images = _images(2, *shape, 2)
    n = shape[0] * shape[1] // 16
    permuted = _permuted(images, np.arange(n)[::-1])
    logits = _logits(model, variables, images)
    assert np.abs(_logits(model, variables, permuted) - logits).max() > 0.01


def test_learned_positions_fit_one_size():
  model = _create()
  with pytest.raises(ValueError, match="for 7 tokens, but the images have 17"):
    model.apply(_variables(model), _images(1, 16, 16, 2), train=False)


def test_positions_of_patches_alone_are_the_others_with_a_zero():
  """A class token without position is one whose position is zero."""
  model, alone = _create(), _create(positions="learned_patches")
  variables = _variables(alone)
  encoder = variables["params"]["Transformer"]
  table = encoder["posembed_input"]["pos_embedding"]
  assert table.shape == (1, 6, 12)
  padded = np.pad(table, ((0, 0), (1, 0), (0, 0)))
  params = {
    **variables["params"],
    "Transformer": {**encoder, "posembed_input": {"pos_embedding": padded}},
  }
  images = _images(2, 8, 12, 2)
  np.testing.assert_allclose(
    _logits(model, {"params": params}, images),
    _logits(alone, variables, images),
    rtol=1e-5,
    atol=1e-5,
  )
