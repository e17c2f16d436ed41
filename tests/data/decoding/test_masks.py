"""Masks keep the numbers that their files have."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxvision.data import decoding

VALUES = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)


def file_of(image, kind="PNG", **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def palette(**options):
  image = Image.fromarray(VALUES % 21)
  image = image.convert("P")
  image.putpalette(np.random.default_rng(1).bytes(768))
  return file_of(image, **options)


def test_grey_values_are_kept():
  found = decoding.decode_mask(file_of(Image.fromarray(VALUES)))
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, VALUES[..., None])


@pytest.mark.parametrize("options", [{}, {"transparency": 3}, {"bits": 8}])
def test_of_a_palette_the_indices_are_kept(options):
  found = decoding.decode_mask(palette(**options))
  np.testing.assert_array_equal(found[..., 0], VALUES % 21)


def test_one_bit_becomes_0_and_255():
  found = decoding.decode_mask(file_of(Image.fromarray(VALUES > 99)))
  np.testing.assert_array_equal(found[..., 0], (VALUES > 99) * np.uint8(255))


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (file_of(Image.new("RGB", (4, 3))), "colour type 2 with 8 bits; expected"),
    (file_of(Image.new("RGBA", (4, 3))), "colour type 6"),
    (file_of(Image.new("LA", (4, 3))), "colour type 4"),
    (file_of(Image.new("I;16", (4, 3))), "colour type 0 with 16 bits"),
    (file_of(Image.new("L", (4, 3)), "JPEG"), "no PNG; store masks without"),
    (b"", "it is no PNG"),
    (file_of(Image.fromarray(VALUES))[:-30], "a mask that cannot be read"),
  ],
)
def test_other_files_are_unreadable(content, message):
  with pytest.raises(decoding.UnreadableImage, match=message):
    decoding.decode_mask(content)


def test_a_mask_of_too_many_pixels_is_unreadable():
  content = file_of(Image.fromarray(VALUES))
  assert decoding.decode_mask(content, max_pixels=35).shape == (5, 7, 1)
  with pytest.raises(decoding.UnreadableImage, match=r"data\.max_pixels=34"):
    decoding.decode_mask(content, max_pixels=34)
