"""GrabCut finds objects that differ from their ground."""

import numpy as np
import pytest

from jaxvision.data import UnreadableImage
from jaxvision.data.preparation import grabcut


def square(size=40, *, noise=20):
  """A red square with noise on a blue ground with noise."""
  rng = np.random.default_rng(0)
  image = np.zeros((size, size, 3), np.uint8)
  image[..., 2] = 200
  image[12:28, 10:26] = (220, 20, 20)
  return np.clip(image + rng.integers(0, noise, image.shape), 0, 255).astype(
    "u1"
  )


def test_a_coloured_square_is_found():
  found = grabcut.segment(square(), (8, 6, 32, 30), seed=3)
  expected = np.zeros((40, 40), bool)
  expected[12:28, 10:26] = True
  np.testing.assert_array_equal(found, expected)


def test_the_seed_decides():
  image, box = square(noise=200), (8, 6, 32, 30)
  first = [grabcut.segment(image, box, seed=seed) for seed in range(4)]
  again = [grabcut.segment(image, box, seed=seed) for seed in (3, 2, 1, 0)]
  np.testing.assert_array_equal(first, again[::-1])


def test_a_failure_has_a_reason():
  # The box shows the same ground as the rest of the image.
  flat = np.full((30, 30, 3), 90, np.uint8)
  with pytest.raises(UnreadableImage, match="GrabCut"):
    grabcut.segment(flat, (5, 5, 25, 25), seed=0)
