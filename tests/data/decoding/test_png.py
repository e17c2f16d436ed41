"""PNG chunks: only complete chunks with pixels are decoded."""

import image_files
import numpy as np
import pytest

from jaxvision.data import decoding
from jaxvision.data.decoding import png

ENCODED = image_files.encode(image_files.PICTURE, "PNG")
TEXT = image_files.chunk(b"tEXt", b"Comment\0hello")


def test_the_header_describes_the_stored_pixels():
  header = png.read_header(ENCODED)
  assert (header.height, header.width) == (48, 64)
  assert header.whole and not header.grey and header.bare is ENCODED
  assert header.orientation == 1 and header.profile is None
  grey = image_files.encode(image_files.PICTURE.convert("LA"), "PNG")
  assert png.read_header(grey).grey


@pytest.mark.parametrize("at_end", [False, True])
def test_other_chunks_are_left_out(at_end):
  longer = image_files.with_chunks(ENCODED, TEXT, TEXT, at_end=at_end)
  header = png.read_header(longer + b"more")
  assert header.bare == ENCODED and header.whole


@pytest.mark.parametrize("name", [b"IDAT", b"IHDR", b"IEND"])
def test_chunks_that_are_damaged_are_not_whole(name, capfd):
  place = ENCODED.index(name)
  for damage in range(place, place + 4):
    other = bytearray(ENCODED)
    other[damage] ^= 0x20  # IDAT becomes iDAT, which may be left out
    try:
      assert not png.read_header(bytes(other)).whole
      decoding.decode(bytes(other), channels=3)
    except decoding.UnreadableImage:
      continue
    assert name == b"IEND"  # all pixels are there
  assert capfd.readouterr().err == ""


def test_a_damaged_text_does_no_harm(capfd):
  broken = TEXT[:-1] + b"x"
  encoded = image_files.with_chunks(ENCODED, broken)
  found = decoding.decode(encoded, channels=3)
  np.testing.assert_array_equal(found, image_files.PIXELS)
  assert capfd.readouterr().err == ""


@pytest.mark.parametrize("length", [1, 3, 20])
def test_transparency_of_any_length_is_left_out(length, capfd):
  """Alpha is dropped; libpng would print that it is invalid."""
  picture = image_files.PICTURE.quantize(16)
  encoded = image_files.encode(picture, "PNG")
  transparent = image_files.chunk(b"tRNS", bytes(length))
  found = decoding.decode(
    image_files.with_chunks(encoded, transparent), channels=3
  )
  np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))
  assert capfd.readouterr().err == ""


def test_without_a_header_it_is_unreadable():
  for content in (png.SIGNATURE, png.SIGNATURE + TEXT * 3, ENCODED[:30]):
    with pytest.raises(decoding.UnreadableImage, match="without a header"):
      decoding.decode(content, channels=3)


def test_too_little_data_for_the_size_is_unreadable():
  for depth, colour in ((1, 0), (8, 2), (16, 6), (8, 3)):
    encoded = image_files.png(9000, 9000, depth=depth, colour=colour)
    with pytest.raises(decoding.UnreadableImage, match="too few for 9000x9000"):
      decoding.decode(encoded, channels=3)
  # Zeros, as small as deflate makes them, are enough.
  rows = bytes(2000 * (1 + 2000))
  encoded = image_files.png(2000, 2000, colour=0, rows=rows)
  assert len(encoded) < 5000
  assert not decoding.decode(encoded, channels=1).any()
