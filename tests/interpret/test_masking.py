"""Tests of jaxvision.interpret.masking: occlusion and RISE."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_classifiers

from jaxvision.interpret import attributions, masking

_TARGETS = np.array([2, 0, 3])


def _linear():
  model, variables = small_classifiers.classifier("linear", side=8)
  return model, variables, small_classifiers.images(side=8)


def test_occlusion_of_the_linear_model():
  """A hidden window loses the sum of its pixels times weights."""
  model, variables, images = _linear()
  method = attributions.create("occlusion(window=3, stride=2, score='logit')")
  maps = method(model, variables, images, _TARGETS)
  kernel = variables["params"]["head"]["kernel"].T.reshape(4, 8, 8, 3)
  products = (images * kernel[_TARGETS]).sum(axis=-1)
  loss, counts = np.zeros((3, 8, 8)), np.zeros((8, 8))
  for i in (0, 2, 4, 5):
    for j in (0, 2, 4, 5):
      window = np.s_[i : i + 3, j : j + 3]
      loss[:, *window] += products[:, *window].sum(axis=(1, 2))[:, None, None]
      counts[window] += 1
  np.testing.assert_allclose(maps, loss / counts, atol=1e-4)


def test_occlusion_by_the_image_itself_loses_nothing():
  model, variables, images = _linear()
  method = attributions.create("occlusion(fill=0.25)")
  same = np.full_like(images, 0.25)
  maps = method(model, variables, same, _TARGETS)
  np.testing.assert_array_equal(maps, np.zeros((3, 8, 8)))
  assert np.abs(method(model, variables, images, _TARGETS)).max() > 1e-3


def test_occlusion_is_a_loss_of_probability():
  model, variables, images = _linear()
  method = attributions.create("occlusion(window=8)")
  maps = method(model, variables, images, _TARGETS)
  logits = small_classifiers.logits(model, variables, images)
  blank = small_classifiers.logits(model, variables, jnp.zeros_like(images))
  loss = jax.nn.softmax(logits) - jax.nn.softmax(blank)
  np.testing.assert_allclose(
    maps[:, 3, 5], loss[np.arange(3), _TARGETS], atol=1e-6
  )


def test_a_window_larger_than_the_image_is_an_error():
  model, variables, images = _linear()
  with pytest.raises(ValueError, match=r"window 9 is larger .* use at most 8"):
    attributions.create("occlusion(window=9)")(
      model, variables, images, _TARGETS
    )


def test_windows_end_with_the_image():
  assert masking.starts(8, window=3, stride=2) == [0, 2, 4, 5]
  assert masking.starts(8, window=8, stride=4) == [0]
  assert masking.starts(6, window=2, stride=2) == [0, 2, 4]


@pytest.mark.parametrize("seen", [0.1, 0.5])
def test_every_pixel_of_the_masks_has_the_same_mean(seen):
  masks = masking.draw_masks(
    jax.random.key(0), jnp.arange(4000), shape=(9, 14), cells=4, seen=seen
  )
  assert masks.shape == (4000, 9, 14)
  assert masks.min() >= 0 and masks.max() <= 1
  # The standard deviation of a mean is below 0.5 / sqrt(4000) = 0.008.
  np.testing.assert_allclose(masks.mean(axis=0), seen, atol=0.035)


def test_masks_are_shifted_cells_enlarged_bilinearly():
  """Steps between neighbours are at most one side of a cell, 1 / 4."""
  masks = masking.draw_masks(
    jax.random.key(0), jnp.arange(50), shape=(16, 16), cells=4, seen=0.5
  )
  steps = np.abs(np.diff(masks, axis=1))
  # A map of 4 cells is enlarged to 5 sides of 4 pixels: 5 pixels for a cell.
  assert steps.max() == pytest.approx(1 / 5, abs=1e-6)
  alone = masking.draw_masks(
    jax.random.key(0), jnp.array([7]), shape=(16, 16), cells=4, seen=0.5
  )
  np.testing.assert_array_equal(alone[0], masks[7])


def test_rise_is_the_mean_of_masks_weighted_by_probability():
  """The slow version, with a number of masks that does not fill a group."""
  model, variables, images = _linear()
  method = attributions.create("rise(masks=50, cells=3, seen=0.3, seed=4)")
  maps = method(model, variables, images, _TARGETS)
  masks = np.asarray(
    masking.draw_masks(
      jax.random.key(4), jnp.arange(50), shape=(8, 8), cells=3, seen=0.3
    )
  )
  total = np.zeros((3, 8, 8))
  for mask in masks:
    masked = images * mask[None, ..., None]
    logits = small_classifiers.logits(model, variables, masked)
    found = np.asarray(jax.nn.softmax(logits))[np.arange(3), _TARGETS]
    total += found[:, None, None] * mask
  np.testing.assert_allclose(maps, total / (50 * 0.3), rtol=1e-4)


def test_rise_of_a_constant_probability_is_this_probability():
  """It is divided by the number of masks and by the probability of a cell."""
  model, variables, images = _linear()
  silent = jax.tree.map(np.zeros_like, variables)
  method = attributions.create("rise(masks=4000, cells=4, seen=0.5)")
  maps = method(model, silent, images[:1], _TARGETS[:1])
  np.testing.assert_allclose(maps, 0.25, atol=0.25 * 0.035 / 0.5)


def test_masks_that_hide_all_are_an_error():
  model, variables, images = _linear()
  with pytest.raises(ValueError, match="seen is 0, so all masks are empty"):
    attributions.create("rise(seen=0)")(model, variables, images, _TARGETS)
