"""Deletion and insertion: the numbers of RISE, and a slow version."""

import jax
import numpy as np
import pytest
import small_classifiers

from jaxvision.evaluation.explanations import perturbation


@pytest.mark.parametrize(
  ("scores", "area"),
  [
    ((1, 0.5, 0.25, 0), 0.4166667),
    ((0.9, 0.9, 0.1, 0.1, 0.1), 0.4),
    ((0.3, 0.3, 0.3), 0.3),
  ],
)
def test_areas_of_known_curves(scores, area):
  found = perturbation.area(np.array([scores, scores]))
  np.testing.assert_allclose(found, [area, area], atol=5e-8)


def test_the_kernel_of_the_blur():
  kernel = perturbation.blur_kernel()
  assert kernel.shape == (11, 11)
  assert kernel.sum() == pytest.approx(1, abs=1e-12)
  assert kernel[5, 5] == pytest.approx(0.0088326, abs=5e-8)
  corners = kernel[[0, 0, -1, -1], [0, -1, 0, -1]]
  np.testing.assert_allclose(corners, 0.0077366, atol=5e-8)


def test_the_blur_has_zeros_outside_of_the_image():
  images = np.random.default_rng(0).normal(size=(2, 6, 9, 3))
  images = images.astype(np.float32)
  kernel = perturbation.blur_kernel()
  padded = np.pad(images, ((0, 0), (5, 5), (5, 5), (0, 0)))
  expected = np.zeros_like(images)
  for row in range(6):
    for column in range(9):
      window = padded[:, row : row + 11, column : column + 11]
      expected[:, row, column] = np.einsum("bijc,ij->bc", window, kernel)
  found = perturbation.blurred(images)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equal_pixels_are_in_the_order_of_rows():
  maps = np.array([[[1, 3, 1], [3, 2, 1]], [[0, 0, 0], [0, 0, 0]]])
  expected = [[[3, 0, 4], [1, 2, 5]], [[0, 1, 2], [3, 4, 5]]]
  assert perturbation.ranks(maps).tolist() == expected


@pytest.mark.parametrize("form", ["deletion", "insertion"])
def test_curves_are_those_of_a_slow_version(form):
  model, variables = small_classifiers.classifier("linear", side=5)
  images = small_classifiers.images(2, side=5)
  maps = np.random.default_rng(1).random((2, 5, 5))
  targets, step = np.array([3, 1]), 7
  blurred = np.asarray(perturbation.blurred(images))
  expected = []
  for image, blur, saliency, target in zip(
    images, blurred, maps, targets, strict=True
  ):
    start, end = (
      (image, np.zeros_like(image)) if form == "deletion" else (blur, image)
    )
    order = sorted((-saliency[i, j], i, j) for i in range(5) for j in range(5))
    seen, scores = start.copy(), []
    for changed in range(26):
      if changed % step == 0 or changed == 25:
        logits = np.asarray(model.apply(variables, seen[None], train=False))[0]
        scores.append(np.exp(logits[target]) / np.exp(logits).sum())
      if changed < 25:
        _, i, j = order[changed]
        seen[i, j] = end[i, j]
    expected.append(scores)
  found = perturbation.curves(
    model, variables, images, maps, targets, form=form, step=step
  )
  assert found.shape == (2, 5)  # ceil(25 / 7) + 1
  np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_a_network_without_knowledge_has_a_constant_score():
  """And a 28th of the image changes at a time."""
  model, variables = small_classifiers.classifier("linear", side=28)
  variables = jax.tree.map(np.zeros_like, variables)
  images, maps = small_classifiers.images(1, side=28), np.zeros((1, 28, 28))
  found = perturbation.curves(
    model, variables, images, maps, np.array([2]), form="insertion"
  )
  assert found.shape == (1, 29)
  np.testing.assert_allclose(perturbation.area(found), 1 / 4, rtol=1e-6)
