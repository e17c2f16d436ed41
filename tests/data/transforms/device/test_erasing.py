"""Tests of jaxvision.data.transforms.device.erasing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxvision.data.transforms.device import make_device_transform

N = 4000


def _covered(call, shape, *, count=N):
  """(count, h, w) bool: the pixels of images of ones that have changed."""
  batch = {"image": jnp.ones((count, *shape, 1))}
  out = jax.jit(make_device_transform((call,)))(jax.random.key(7), batch)
  return np.asarray(out["image"])[..., 0] != 1


def _sides(covered):
  """Tops, lefts, heights and widths of the rectangles, one per image."""
  rows, columns = covered.any(2), covered.any(1)
  np.testing.assert_array_equal(covered, rows[:, :, None] & columns[:, None, :])
  for side in (rows, columns):
    edges = np.diff(side.astype(int), axis=1, prepend=0, append=0)
    assert (np.abs(edges).sum(1) <= 2).all()
  return rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)


@pytest.mark.parametrize("length", [3, 4, 20])
def test_cutout_covers_each_pixel_as_often_as_centers_reach_it(length):
  height, width = 9, 6
  covered = _covered(f"random_cutout({length})", (height, width))
  shares = []
  for size in (height, width):
    starts = np.arange(size) - length // 2
    pixels = np.arange(size).reshape(-1, 1)
    reached = (pixels >= starts) & (pixels < starts + length)
    shares.append(reached.mean(1))
  expected = np.outer(*shares)
  spread = np.sqrt(expected * (1 - expected) / N)
  assert (np.abs(covered.mean(0) - expected) <= 5 * spread).all()
  tops, lefts, heights, widths = _sides(covered)
  whole = (heights == length) & (widths == length)
  clipped = (tops == 0) | (lefts == 0)
  clipped |= (tops + heights == height) | (lefts + widths == width)
  assert (whole | clipped).all()
  assert heights.min() >= min(length // 2, height)


def test_cutout_covers_with_probability_p():
  found = _covered("random_cutout(2, p=0.3)", (4, 4)).any((1, 2)).sum()
  assert abs(found - 0.3 * N) < 5 * np.sqrt(0.21 * N)


def test_cutout_fills_with_the_mean_color_of_the_data():
  image = jnp.full((4, 6, 6, 3), 2.0)
  cut = make_device_transform(("random_cutout(3)",))
  out = np.asarray(cut(jax.random.key(0), {"image": image})["image"])
  assert set(np.unique(out)) == {0.0, 2.0}


@pytest.mark.parametrize("law", ["uniform", "log_uniform"])
def test_erasing_draws_area_and_ratio_uniformly(law):
  """If every rectangle fits, none is drawn again."""
  call = f"random_erasing(p=1, scale=(0.1, 0.2), ratio_law={law!r}, fill=0)"
  covered = _covered(call, (150, 200), count=1000)
  _, _, heights, widths = _sides(covered)
  areas = heights * widths / (150 * 200)
  assert scipy.stats.kstest((areas - 0.1) / 0.1, "uniform").pvalue > 0.01
  ratios, (low, high) = heights / widths, (0.3, 1 / 0.3)
  if law == "log_uniform":
    ratios, low, high = np.log(ratios), np.log(low), np.log(high)
  uniform = (ratios - low) / (high - low)
  assert scipy.stats.kstest(uniform, "uniform").pvalue > 0.01


def _paper_erasing(rng, height, width):
  """(height, width) of a rectangle, drawn as in the authors' code."""
  while True:
    area = rng.uniform(0.02, 0.4) * height * width
    ratio = rng.uniform(0.3, 1 / 0.3)
    sides = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
    if sides[0] < height and sides[1] < width:
      return sides


def test_erasing_has_the_rectangles_of_the_paper():
  """In a wide image, in which two of five rectangles do not fit at first."""
  height, width = 40, 100
  covered = _covered("random_erasing(p=1, fill=0)", (height, width))
  tops, lefts, heights, widths = _sides(covered)
  rng = np.random.default_rng(0)
  paper = np.array([_paper_erasing(rng, height, width) for _ in range(20000)])
  for found, expected in zip((heights, widths), paper.T, strict=True):
    assert scipy.stats.ks_2samp(found, expected).pvalue > 0.01
  for starts, lengths, size in (
    (tops, heights, height),
    (lefts, widths, width),
  ):
    assert (starts + lengths <= size).all()
    # Uniform among the places where it fits: so is its rank, in between.
    ranks = (starts + rng.uniform(size=N)) / (size - lengths + 1)
    assert scipy.stats.kstest(ranks, "uniform").pvalue > 0.01


def test_erasing_covers_with_probability_p():
  found = _covered("random_erasing(p=0.25, fill=0)", (8, 8)).any((1, 2)).sum()
  assert abs(found - 0.25 * N) < 5 * np.sqrt(0.25 * 0.75 * N)


def test_a_rectangle_that_never_fits_is_left_out():
  covered = _covered("random_erasing(p=1, scale=(1, 1), fill=0)", (8, 8))
  assert not covered.any()


def _filled(fill, channels=3):
  """Images, the images with a rectangle, and whether it covers each number."""
  rng = np.random.default_rng(0)
  image = rng.uniform(5, 6, (200, 16, 16, channels)).astype(np.float32)
  erase = make_device_transform((f"random_erasing(p=1, fill={fill!r})",))
  out = erase(jax.random.key(0), {"image": jnp.asarray(image)})["image"]
  return image, np.asarray(out), np.asarray(out) != image


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_erasing_fills_with_noise_of_mean_0_and_variance_1(channels):
  _, out, covered = _filled("pixel", channels)
  values = out[covered].reshape(-1, channels)
  assert len(values) > 9000
  law = scipy.stats.uniform(-np.sqrt(3), 2 * np.sqrt(3))
  assert scipy.stats.kstest(values.ravel(), law.cdf).pvalue > 0.01
  # Channels and neighbours are independent.
  correlation = np.corrcoef(np.c_[values[:-1], values[1:]].T)
  apart = ~np.eye(2 * channels, dtype=bool)
  assert np.abs(correlation[apart]).max() < 5 / np.sqrt(len(values))


def test_erasing_fills_with_a_number():
  _, out, covered = _filled(-1.5)
  assert (out[covered] == -1.5).all()


def test_erasing_fills_with_the_mean_color_of_the_image():
  image, out, covered = _filled("mean")
  means = image.mean((1, 2), keepdims=True, dtype=np.float64)
  means = np.broadcast_to(means, image.shape)
  np.testing.assert_allclose(out[covered], means[covered], rtol=1e-5)
