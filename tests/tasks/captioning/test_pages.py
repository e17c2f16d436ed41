"""Tests of the pages of a report about captions."""

import numpy as np

from jaxvision.tasks.captioning import pages


def test_an_overlay_is_red_where_the_attention_is_largest():
  image = np.full((4, 6, 3), 100, np.uint8)
  found = pages.overlay(image, np.asarray([[0.0, 0.2, 0.1], [0.0, 0.4, 0.0]]))
  assert found[3, 2].tolist() == [178, 50, 50]
  assert found[0, 2].tolist() == [114, 50, 50]
  assert found[0, 0].tolist() == found[3, 5].tolist() == [50, 50, 50]
  # A cell is 2 x 2 pixels.
  assert len(np.unique(found[2:, 2:4], axis=None)) == 2


def test_the_sample_of_a_report_does_not_depend_on_the_model():
  rng = np.random.default_rng(0)
  batch = {"image": rng.integers(0, 256, (5, 4, 4, 1)).astype(np.uint8)}
  one, _ = pages.rank(rng.random((5, 3, 4)), batch)
  other, answers = pages.rank(np.zeros((5, 3, 4)), batch)
  np.testing.assert_array_equal(one, other)
  assert len(set(one.tolist())) == 5 and answers.shape == (5, 3, 4)
