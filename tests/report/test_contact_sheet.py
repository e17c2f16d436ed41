import numpy as np
import pytest
from PIL import Image

from jaxvision.report.contact_sheet import (
  write_contact_sheet,
  write_side_by_side,
)

RED = np.broadcast_to(np.asarray([200, 0, 0], np.uint8), (8, 8, 3))


def cells(path, columns):
  """The cells of the sheet, of 104 x 120 pixels each, row by row."""
  sheet = np.asarray(Image.open(path))[8:, 8:]
  rows = sheet.shape[0] // 120
  return [
    sheet[120 * row : 120 * row + 112, 104 * column : 104 * column + 96]
    for row in range(rows)
    for column in range(columns)
  ]


def test_pictures_appear_in_order_pixel_by_pixel(tmp_path):
  rng = np.random.default_rng(0)
  images = [rng.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(5)]
  path = write_contact_sheet(
    images, ["a"] * 5, tmp_path / "sheet.png", columns=2
  )
  for image, cell in zip(images, cells(path, 2), strict=False):
    enlarged = image.repeat(12, axis=0).repeat(12, axis=1)
    np.testing.assert_array_equal(cell[:96], enlarged)


def test_grey_and_large_and_narrow_images_fit(tmp_path):
  images = [
    np.full((8, 8, 1), 60, np.uint8),
    np.full((300, 200, 3), 60, np.uint8),
    np.full((1, 500, 3), 60, np.uint8),
  ]
  path = write_contact_sheet(images, ["x"] * 3, tmp_path / "sheet.png")
  areas = [(cell[:96] == 60).all(2).sum() for cell in cells(path, 3)]
  assert areas == [96 * 96, 64 * 96, 96]


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_other_numbers_of_channels_are_shown_as_their_mean(tmp_path, channels):
  """Such as satellite images in an .npz file."""
  image = np.arange(100, 100 + channels, dtype=np.uint8)
  path = write_contact_sheet(
    [np.broadcast_to(image, (8, 8, channels))], ["a"], tmp_path / "sheet.png"
  )
  (cell,) = cells(path, 1)[:1]
  assert (cell[:96] == int(image.mean())).all()


def test_titles_are_drawn_whatever_they_contain(tmp_path):
  titles = ["Größe", "猫", "кот", "two\nlines", "very " * 40, ""]
  path = write_contact_sheet([RED] * 6, titles, tmp_path / "sheet.png")
  ink = [(cell[96:] < 200).any() for cell in cells(path, 6)]
  assert ink == [True] * 5 + [False]
  margins = np.asarray(Image.open(path))[:, -8:]
  assert (margins == 255).all()


def test_each_image_needs_a_title(tmp_path):
  with pytest.raises(ValueError, match="1 images and 2 titles"):
    write_contact_sheet([RED], ["a", "b"], tmp_path / "sheet.png")
  with pytest.raises(ValueError, match="at least one image"):
    write_contact_sheet([], [], tmp_path / "sheet.png")


def test_groups_are_drawn_beside_each_other(tmp_path):
  rng = np.random.default_rng(0)
  images = [rng.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(3)]
  titles = ["0.70 one of them + 0.30 another one of them"] * 3
  groups = {"left": (images[:2], titles[:2]), "right": (images[2:], titles[2:])}
  path = write_side_by_side(groups, tmp_path / "sheet.png", columns=1)
  sheet = np.asarray(Image.open(path))
  assert sheet.shape == (32 + 2 * 198 + 8, 2 * (168 + 24), 3)
  places = [(40, 8), (40 + 198, 8), (40, 8 + 192)]
  for image, (top, left) in zip(images, places, strict=True):
    enlarged = image.repeat(20, axis=0).repeat(20, axis=1)
    shown = sheet[top : top + 160, left : left + 160]
    np.testing.assert_array_equal(shown, enlarged)
    lines = sheet[top + 162 : top + 190, left : left + 160]
    ink = (lines < 200).any(axis=(1, 2))
    assert ink[:14].any() and ink[14:].any()
  assert (sheet[:32, :168] < 200).any() and (sheet[:32, 192:] < 200).any()


def test_there_must_be_a_group(tmp_path):
  with pytest.raises(ValueError, match="no group"):
    write_side_by_side({}, tmp_path / "sheet.png")
