import numpy as np

from jaxvision.data.transforms.host import erasing

WHITE = np.full((8, 10, 3), 255, np.uint8)


def test_cutout_centres_on_every_pixel_equally():
  rng = np.random.default_rng(0)
  cutout = erasing.random_cutout(1, fill=(1, 2, 3))
  hits = np.zeros((8, 10), int)
  for _ in range(4000):
    erased = (cutout(rng, WHITE) == (1, 2, 3)).all(2)
    assert erased.sum() == 1
    hits += erased
  assert np.abs(hits - 50).max() < 5 * np.sqrt(50)


def test_a_square_is_cut_at_the_edges():
  rng, areas = np.random.default_rng(0), set()
  for _ in range(500):
    erased = (erasing.random_cutout(4)(rng, WHITE) == 0).all(2)
    rows, columns = np.nonzero(erased)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert erased.sum() == height * width and max(height, width) <= 4
    areas.add((height, width))
  # Centres 0 and 1 lose two or one rows above, the last one below.
  assert areas == {(h, w) for h in (2, 3, 4) for w in (2, 3, 4)}


def test_nothing_is_cut_by_a_square_of_no_size():
  out = erasing.random_cutout(0)(np.random.default_rng(0), WHITE)
  np.testing.assert_array_equal(out, WHITE)
