"""Encoding of stored images, alone and in a prepared data set."""

import io

import numpy as np
import published_archives
import pytest
from PIL import Image

from jaxvision import data
from jaxvision.data.preparation import encoding

PICTURE = published_archives.picture(7)
JPEG = published_archives.jpeg(7)


def size(content):
  with Image.open(io.BytesIO(content)) as opened:
    return opened.size


def test_jpeg_stays_byte_for_byte():
  encode = encoding.make_encoder("jpeg")
  grey = published_archives.encoded(PICTURE.convert("L"), "JPEG")
  for content in (JPEG, grey, JPEG + b"what a camera adds"):
    assert encode(content) == (content, "")


@pytest.mark.parametrize(
  ("kind", "mode", "reason"),
  [
    ("PNG", "RGB", "was PNG"),
    ("JPEG", "CMYK", "was CMYK"),
    ("GIF", "L", "was GIF"),
  ],
)
def test_an_uncommon_jpeg_is_encoded_again(kind, mode, reason):
  content = published_archives.encoded(PICTURE.convert(mode), kind)
  made, why = encoding.make_encoder("jpeg")(content)
  assert why == reason
  with Image.open(io.BytesIO(made)) as opened:
    assert (opened.format, opened.mode) == ("JPEG", "RGB")
  before = data.decode(content, channels=3).astype(int)
  assert np.abs(data.decode(made, channels=3) - before).mean() < 2


@pytest.mark.parametrize("content", [b"", b"no image", JPEG[:400]])
def test_an_unreadable_image_is_an_error(content):
  with pytest.raises(data.UnreadableImage):
    encoding.make_encoder("jpeg")(content)


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_become_png_without_loss(channels):
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (5, 7, channels), np.uint8)
  content, reason = encoding.make_encoder("png", channels=channels)(pixels)
  np.testing.assert_array_equal(data.decode(content, channels=channels), pixels)
  assert reason == ""


def test_png_stays_byte_for_byte():
  content = published_archives.encoded(PICTURE, "PNG", compress_level=1)
  assert encoding.make_encoder("png")(content) == (content, "")


@pytest.mark.parametrize(
  ("small", "expected"), [(24, (32, 24)), (17, (23, 17))]
)
def test_the_shorter_side_of_larger_images_is_reduced(small, expected):
  encode = encoding.make_encoder("jpeg", resize_small=small)
  assert size(encode(JPEG)[0]) == expected
  upright = published_archives.jpeg(7, height=64, width=48)
  assert size(encode(upright)[0]) == expected[::-1]


@pytest.mark.parametrize("small", [48, 100])
def test_images_that_are_small_enough_stay(small):
  encode = encoding.make_encoder("jpeg", resize_small=small)
  assert encode(JPEG) == (JPEG, "")


def test_reducing_averages():
  pixels = np.zeros((8, 8, 3), np.uint8)
  pixels[::2, ::2] = 200
  content, _ = encoding.make_encoder("png", resize_small=4)(pixels)
  assert (data.decode(content, channels=3) == 50).all()


def test_quality_is_that_of_all_images():
  tables = []
  for quality in (30, 95):
    content, _ = encoding.make_encoder("jpeg", quality=quality)(JPEG)
    with Image.open(io.BytesIO(content)) as opened:
      tables.append(opened.quantization[0])
  pixels = np.asarray(PICTURE)
  with Image.open(
    io.BytesIO(encoding.make_encoder("jpeg")(pixels)[0])
  ) as image:
    assert image.quantization[0] == tables[1]
  assert sum(tables[0]) > 5 * sum(tables[1])


@pytest.mark.parametrize(
  ("kind", "options", "message"),
  [
    ("png", {"quality": 90}, "stored as PNG, without loss"),
    ("jpeg", {"quality": 101}, "expected a quality of 1 to 100"),
    ("jpeg", {"resize_small": -1}, "a positive shorter side"),
  ],
)
def test_wrong_options_are_refused(kind, options, message):
  with pytest.raises(ValueError, match=message):
    encoding.make_encoder(kind, **options)
