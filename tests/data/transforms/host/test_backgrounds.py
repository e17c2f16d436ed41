"""Foregrounds and backgrounds, against loops over pixels."""

import itertools

import numpy as np
import pytest

from jaxvision.data import UnreadableImage, make_host_transform
from jaxvision.data.transforms.host import backgrounds

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(1, 256, (7, 9, 3), np.uint8)
# A foreground with holes, whose box is rows 2 to 4 and columns 3 to 7.
MASK = np.zeros((7, 9, 1), np.uint8)
for _row, _column in ((2, 4), (3, 3), (3, 7), (4, 5)):
  MASK[_row, _column] = 255
BOX = (2, 3, 5, 8)


def slow(call):
  """The image of a transform, pixel by pixel."""
  inside = lambda r, c: BOX[0] <= r < BOX[2] and BOX[1] <= c < BOX[3]  # noqa: E731
  made = np.zeros_like(IMAGE)
  for r, c in itertools.product(range(7), range(9)):
    if call == "only_fg":
      keeps = MASK[r, c, 0] == 255
    elif call == "no_fg":
      keeps = MASK[r, c, 0] == 0
    else:
      keeps = not inside(r, c)
    if keeps:
      made[r, c] = IMAGE[r, c]
    elif call == "only_bg_t":
      # The largest strip has the whole height: 3 columns at the left.
      made[r, c] = IMAGE[r, c % 3]
  return made


@pytest.mark.parametrize("call", ["only_fg", "no_fg", "only_bg_b", "only_bg_t"])
def test_a_variant_is_that_of_loops_over_pixels(call):
  before = IMAGE.copy()
  chain = make_host_transform((call,)).with_moves()
  made, (mask,) = chain.together(None, IMAGE, [MASK])
  np.testing.assert_array_equal(made, slow(call))
  np.testing.assert_array_equal(mask, MASK)
  np.testing.assert_array_equal(IMAGE, before)
  assert not chain.random and made.dtype == np.uint8


def rectangles(height, width):
  rows = itertools.combinations(range(height + 1), 2)
  columns = list(itertools.combinations(range(width + 1), 2))
  for (top, bottom), (left, right) in itertools.product(rows, columns):
    yield top, left, bottom, right


@pytest.mark.parametrize("shape", [(4, 5), (6, 3), (1, 4)])
def test_no_rectangle_outside_of_the_box_is_larger_than_the_strip(shape):
  everything = list(rectangles(*shape))
  for box in everything:
    if box == (0, 0, *shape):
      continue
    outside = [
      (bottom - top) * (right - left)
      for top, left, bottom, right in everything
      if bottom <= box[0] or top >= box[2] or right <= box[1] or left >= box[3]
    ]
    strip = backgrounds.largest_strip(shape, box)
    assert backgrounds.area(strip) == max(outside)
    assert strip in everything
    assert 0 in strip[:2] and (
      strip[1::2] == (0, shape[1]) or strip[0::2] == (0, shape[0])
    )


def test_copies_of_the_strip_start_at_the_corner_of_the_image():
  # Three rows are left below the box, and the box starts at row 1.
  image = np.arange(8, dtype=np.uint8).reshape(8, 1, 1) * np.ones((1, 2, 1))
  made = backgrounds.tiled_box(image.astype(np.uint8), (1, 0, 5, 2))
  np.testing.assert_array_equal(made[:, 0, 0], [0, 6, 7, 5, 6, 5, 6, 7])


def test_the_box_of_a_foreground_is_tight():
  found = backgrounds.foreground_of(MASK)
  assert backgrounds.box_of(found) == BOX


def test_the_values_of_a_mask_are_chosen():
  trimap = np.full((4, 4, 1), 2, np.uint8)
  trimap[1:3, 1:3], trimap[1, 1] = 1, 3
  chain = make_host_transform(("only_fg(least=1, most=1)",)).with_moves()
  made, _ = chain.together(None, np.full((4, 4, 1), 9, np.uint8), [trimap])
  assert made.sum() == 3 * 9 and made[1, 1] == 0
  message = "no value from 128 to 255; its values are 1 to 3"
  with pytest.raises(UnreadableImage, match=message):
    backgrounds.foreground_of(trimap)


def test_an_image_without_background_is_unreadable():
  with pytest.raises(UnreadableImage, match=r"the whole image of 7x9 pixels"):
    backgrounds.tiled_box(IMAGE, (0, 0, 7, 9))


def test_the_mask_has_moved_with_the_image():
  chain = make_host_transform(("center_crop((3, 5))", "only_fg")).with_moves()
  made, (mask,) = chain.together(None, IMAGE, [MASK])
  inside = slow("only_fg")[2:5, 2:7]
  np.testing.assert_array_equal(made, inside)
  np.testing.assert_array_equal(mask, MASK[2:5, 2:7])


def test_random_apply_changes_its_share_of_the_images():
  chain = make_host_transform(("random_apply('only_fg', p=0.25)",)).with_moves()
  assert chain.random and chain.needs_mask
  rng, changed = np.random.default_rng(0), 0
  for _ in range(2000):
    made, (mask,) = chain.together(rng, IMAGE, [MASK])
    changed += (made != IMAGE).any()
    np.testing.assert_array_equal(mask, MASK)
  # Four standard deviations of a binomial distribution.
  assert abs(changed - 500) < 4 * np.sqrt(2000 * 0.25 * 0.75)


def test_an_image_without_mask_is_an_error_with_a_remedy():
  chain = make_host_transform(("only_fg",))
  with pytest.raises(ValueError, match="need the mask of an image"):
    chain(None, IMAGE)


@pytest.mark.parametrize("name", ["only_fg", "no_fg", "only_bg_b", "only_bg_t"])
def test_the_range_of_the_foreground_is_not_empty(name):
  with pytest.raises(ValueError, match="least is 200 and most is 128"):
    make_host_transform((f"{name}(least=200, most=128)",))
