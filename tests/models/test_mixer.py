"""MLP-Mixer: mixing of patches and channels, sizes, stochastic depth."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import models
from jaxvision.variables import variable_shapes

SMALL = {
  "patch_size": 4,
  "width": 8,
  "depth": 3,
  "tokens_dim": 6,
  "channels_dim": 12,
}
IMAGES = jax.random.normal(jax.random.key(0), (3, 12, 12, 3))


def _model(**options):
  return models.create("mixer_s32", num_classes=5, **{**SMALL, **options})


def _variables(model, images=IMAGES):
  """Random variables, drawn without compiling `init`."""
  rng = np.random.default_rng(0)
  shapes = variable_shapes(model, image_shape=images.shape[1:])
  return jax.tree.map(
    lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype),
    shapes,
  )


@functools.partial(jax.jit, static_argnums=0)
def _logits(model, variables, images):
  return model.apply(variables, images, train=False)


def test_classifier_starts_at_its_bias():
  model = _model(head_bias=-6.9)
  init = jax.jit(functools.partial(model.init_with_output, train=False))
  logits, _ = init(jax.random.key(0), IMAGES)
  np.testing.assert_allclose(logits, np.full((3, 5), -6.9))


def test_patches_can_be_relabelled_together_with_the_token_weights():
  """Only the perceptron across patches depends on the positions."""
  model = _model()
  variables = _variables(model)
  rows = IMAGES.reshape(3, 3, 4, 12, 3)  # three rows of patches
  order = jnp.array([2, 0, 1])
  moved = rows[:, order].reshape(IMAGES.shape)
  tokens = jnp.arange(9).reshape(3, 3)[order].ravel()
  params = jax.tree.map(lambda x: x, variables["params"])
  for i in range(SMALL["depth"]):
    mixing = params[f"MixerBlock_{i}"]["token_mixing"]
    first, last = mixing["Dense_0"], mixing["Dense_1"]
    first["kernel"] = first["kernel"][tokens]
    last["kernel"] = last["kernel"][:, tokens]
    last["bias"] = last["bias"][tokens]
  expected = _logits(model, variables, IMAGES)
  actual = _logits(model, {"params": params}, moved)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
  assert np.abs(_logits(model, variables, moved) - expected).max() > (1e-2)


def test_another_image_size_is_explained():
  model = _model()
  variables = _variables(model)
  with pytest.raises(ValueError, match=r"mix 9 patches.*have 16.*resize"):
    model.apply(variables, jnp.zeros((1, 16, 16, 3)), train=False)


def test_images_not_divisible_into_patches_are_explained():
  with pytest.raises(ValueError, match=r"size 14 .* patch 4; use 12 or 16"):
    _model().init(jax.random.key(0), jnp.zeros((1, 14, 14, 3)), train=False)


def test_rectangles_work():
  model = _model()
  images = jax.random.normal(jax.random.key(0), (2, 8, 20, 3))
  logits = _logits(model, _variables(model, images), images)
  assert logits.shape == (2, 5)


@pytest.mark.matrix(every=2)
@pytest.mark.parametrize("scan", [False, True])
def test_stochastic_depth_of_rate_one_silences_the_last_block_only(scan):
  model = _model(drop_path=1.0, scan_layers=scan)
  variables = _variables(model)

  def loss(params):
    logits = model.apply(
      {"params": params},
      IMAGES,
      train=True,
      rngs={"dropout": jax.random.key(3)},
    )
    return jnp.square(logits).sum()

  gradient = jax.jit(jax.grad(loss))(variables["params"])
  blocks = [gradient[f"MixerBlock_{i}"] for i in range(3)]
  size = [
    sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(b)) for b in blocks
  ]
  assert size[0] > 0
  assert size[2] == 0


def test_surviving_branches_are_not_rescaled():
  """As in the authors' code: a rate near 0 does not change the output."""
  model = _model(drop_path=1e-6)
  variables = _variables(model)
  train = jax.jit(functools.partial(model.apply, train=True))
  kept = train(variables, IMAGES, rngs={"dropout": jax.random.key(0)})
  np.testing.assert_array_equal(kept, _logits(model, variables, IMAGES))


def test_scanned_blocks_give_the_same_logits():
  variables = _variables(_model())
  np.testing.assert_allclose(
    _logits(_model(scan_layers=True), variables, IMAGES),
    _logits(_model(), variables, IMAGES),
    rtol=1e-5,
    atol=1e-6,
  )
