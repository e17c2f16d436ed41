"""Progressive resizing: sizes by the step, equal to images resized before."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from jaxvision.training.step import TrainState, image_sizes, make_train_step

SIZES = ((2, 4), (5, 6))


def _images(*shape):
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("size", [(12, 12), (30, 20), (17, 23)])
@pytest.mark.parametrize("side", [5, 9])
def test_images_are_reduced_as_by_pil(size, side):
  images = _images(3, *size, 3)
  made = image_sizes.reduced({"image": jnp.asarray(images)}, side)["image"]
  height, width, _ = image_sizes.reduced_shape((*size, 3), side)
  assert min(height, width) == side
  assert made.shape == (3, height, width, 3) and made.dtype == np.uint8
  for one, image in zip(np.asarray(made), images, strict=True):
    expected = Image.fromarray(image).resize((width, height), Image.BILINEAR)
    # PIL rounds twice, after each axis.
    difference = one.astype(int) - np.asarray(expected).astype(int)
    assert abs(difference).max() <= 1


def test_only_fields_of_the_shape_of_the_images_are_reduced():
  images = _images(2, 8, 8, 1).astype(np.float32)
  batch = {"image": images, "partner": images + 1, "label": np.arange(2)}
  made = image_sizes.reduced(batch, 4)
  assert made["image"].shape == made["partner"].shape == (2, 4, 4, 1)
  np.testing.assert_allclose(made["partner"], made["image"] + 1, rtol=1e-5)
  assert made["label"] is batch["label"]
  assert image_sizes.reduced(batch, 8)["image"] is images


def _loss(params, model_state, batch, key):
  del key
  images = batch["image"].astype(jnp.float32) / 255
  # The spread over the pixels depends on the size of the images.
  outputs = jnp.einsum("bc,ck->bk", images.std(axis=(1, 2)), params["w"])
  loss = ((outputs - batch["label"][:, None]) ** 2).mean()
  sums = {"loss": loss, "pixels": jnp.float32(images.shape[1])}
  return loss, (model_state, sums)


def _state():
  params = {"w": jnp.asarray(np.linspace(-1, 1, 6).reshape(3, 2), jnp.float32)}
  optimizer = optax.adam(0.1)
  return optimizer, TrainState(
    step=jnp.int32(0),
    params=params,
    model_state={},
    opt_state=optimizer.init(params),
    ema={},
  )


def _steps(sizes, count, reduce=lambda step, batch: batch):
  optimizer, state = _state()
  step = jax.jit(make_train_step(_loss, optimizer, seed=0, sizes=sizes))
  batch = {"image": _images(4, 8, 8, 3), "label": np.arange(4.0)}
  pixels = []
  for number in range(count):
    state, sums = step(state, reduce(number, batch))
    pixels.append(int(sums["pixels"]))
  return state, pixels


def test_a_step_equals_one_with_images_that_were_reduced_before():
  def reduce(number, batch):
    side = max([0, *(s for start, s in SIZES if start <= number)])
    return image_sizes.reduced(batch, side) if side else batch

  state, pixels = _steps(SIZES, 7)
  expected, _ = _steps((), 7, reduce)
  assert pixels == [8, 8, 4, 4, 4, 6, 6]
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state, expected
  )


def test_the_first_size_may_begin_at_once():
  _, pixels = _steps(((0, 4), (2, 8)), 3)
  assert pixels == [4, 4, 8]


def test_a_step_with_sizes_is_scanned_and_mapped():
  """As steps of one call, and as runs that are trained together."""
  optimizer, state = _state()
  step = make_train_step(_loss, optimizer, seed=0, sizes=SIZES)
  batch = {"image": _images(4, 8, 8, 3), "label": np.arange(4.0)}
  one, _ = _steps(SIZES, 6)
  scanned, sums = jax.jit(
    lambda s: jax.lax.scan(lambda s, _: step(s, batch), s, None, length=6)
  )(state)
  assert sums["pixels"].tolist() == [8, 8, 4, 4, 4, 6]
  both = jax.tree.map(lambda x: jnp.stack([x, x]), state)
  mapped = jax.jit(jax.vmap(lambda s: step(s, batch)[0]))
  for _ in range(6):
    both = mapped(both)
  for found in (scanned.params["w"], both.params["w"][1]):
    np.testing.assert_allclose(found, one.params["w"], rtol=1e-5)
