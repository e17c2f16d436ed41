"""Tests of visual_words; scikit-learn is the oracle."""

import dataclasses

import numpy as np
import pytest
from sklearn import datasets, linear_model, metrics

from jaxvision.evaluation.probes import visual_words


@pytest.fixture(scope="module")
def digits():
  """Images (n, 8, 8, 1), normalised, and labels."""
  found = datasets.load_digits()
  images = (found.images[..., None] / 16 - 0.5) / 0.25
  return images.astype(np.float32), found.target


def _slow_patches(image, patch, stride):
  """{(row, column): patch minus mean by contrast} with loops."""
  height, width = image.shape[:2]
  found = {}
  for row, top in enumerate(range(0, height - patch + 1, stride)):
    for column, left in enumerate(range(0, width - patch + 1, stride)):
      each = image[top : top + patch, left : left + patch]
      each = np.moveaxis(each, -1, 0).ravel()
      each = each - each.mean()
      found[row, column] = each / np.sqrt(each.var() + 0.0025)
  return found


@pytest.mark.parametrize(("patch", "stride", "cells"), [(4, 1, 2), (3, 2, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_counts_the_nearest_words(patch, stride, cells, channels):
  """Also over several blocks of images, and with cells of different sizes."""
  rng = np.random.default_rng(0)
  images = rng.normal(size=(70, 8, 9, channels)).astype(np.float32)
  vocabulary = visual_words.fit(
    images, num_words=5, patch=patch, stride=stride, cells=cells
  )
  found = visual_words.histograms(vocabulary, images)
  assert found.shape == (70, cells * cells * 5)
  for number in (0, 63, 64, 69):
    patches = _slow_patches(images[number], patch, stride)
    rows, columns = np.max(list(patches), axis=0) + 1
    expected = np.zeros((cells, cells, 5))
    for (row, column), each in patches.items():
      word = metrics.pairwise_distances_argmin([each], vocabulary.words)[0]
      expected[row * cells // rows, column * cells // columns, word] += 1
    shares = expected / expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(found[number] ** 2, shares.ravel(), atol=1e-6)


def test_brightness_and_contrast_change_nothing(digits):
  images, _ = digits
  vocabulary = visual_words.fit(images[:200], num_words=20, patch=4, stride=1)
  # Without uniform patches, whose contrast is only noise.
  noisy = images[:50] + np.random.default_rng(0).normal(size=(50, 8, 8, 1))
  found = visual_words.histograms(vocabulary, noisy)
  other = visual_words.histograms(vocabulary, 100 * noisy + 7)
  assert np.mean(np.abs(found - other) > 1e-6) < 0.01


def test_digits_are_classified(digits):
  """Cells improve the result, because words then have positions."""
  images, labels = digits
  train, test = slice(0, 900), slice(900, None)
  found = visual_words.fit(images[:200], num_words=40, patch=4, stride=1)
  top1 = {}
  for cells in (1, 2):
    vocabulary = dataclasses.replace(found, cells=cells)
    counted = visual_words.histograms(vocabulary, images)
    oracle = linear_model.LogisticRegression(C=10, max_iter=500)
    oracle.fit(counted[train], labels[train])
    top1[cells] = oracle.score(counted[test], labels[test])
  assert 0.6 < top1[1] < top1[2]
  assert top1[2] > 0.85


def test_a_seed_gives_one_vocabulary(digits):
  images, _ = digits
  words = [
    visual_words.fit(images[:100], num_words=9, patch=4, seed=seed).words
    for seed in (0, 0, 1)
  ]
  np.testing.assert_array_equal(words[0], words[1])
  assert np.abs(words[0] - words[2]).max() > 0.1


@pytest.mark.parametrize(
  ("options", "problem"),
  [
    ({"patch": 9}, "patches of 9 every 2 .* use a patch of at most 8"),
    ({"stride": 0}, "patches of 6 every 0 pixels"),
    ({"cells": 3}, "cells is 3.* grid of 2 x 2; use at most 2"),
    ({"num_words": 50}, "num_words is 50, but there are 40 patches"),
  ],
)
def test_impossible_options(digits, options, problem):
  with pytest.raises(ValueError, match=problem):
    visual_words.fit(digits[0][:10], **{"num_words": 5, **options})


def test_invalid_images_are_an_error(digits):
  images = digits[0][:10].copy()
  with pytest.raises(ValueError, match=r"have shape \(10, 64\)"):
    visual_words.fit(images.reshape(10, -1))
  images[3, 2, 2] = np.nan
  with pytest.raises(ValueError, match="NaN or infinite pixels"):
    visual_words.fit(images, num_words=5)
