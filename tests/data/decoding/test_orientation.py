"""The orientation in all formats; Pillow is the oracle."""

import io
import struct
import zlib

import image_files
import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxvision.data import decoding
from jaxvision.data.decoding import orientation

encode, exif, xmp = image_files.encode, image_files.exif, image_files.xmp
segment, chunk = image_files.segment, image_files.chunk
PICTURE = image_files.PICTURE
JPEG = encode(PICTURE, "JPEG", quality=95, subsampling=0)
CMYK = encode(PICTURE.convert("CMYK"), "JPEG", quality=95, subsampling=0)
PNG = encode(PICTURE, "PNG")
EXIF, XMP = 0xE1, b"http://ns.adobe.com/xap/1.0/\0"


def assert_is_pillows(encoded, *, turned=None):
  with Image.open(io.BytesIO(encoded)) as opened:
    stored = opened.size
    upright = ImageOps.exif_transpose(opened)
  expected = np.asarray(upright.convert("RGB"))
  if turned is not None:
    assert (upright.size != stored) == turned
  found = decoding.decode(encoded, channels=3)
  assert found.shape == expected.shape
  assert np.abs(found.astype(int) - expected).max() <= 2
  grey = decoding.decode(encoded, channels=1)
  assert grey.shape == (*expected.shape[:2], 1)


def jpeg(*contents, of=JPEG):
  return image_files.with_segments(of, *(segment(EXIF, c) for c in contents))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4, 6, 8, 9, 10, 5, 11, 12, 13, 16])
def test_numbers_of_all_types_are_read(kind, order):
  for stated in (1, 3, 6, 7, 9):
    content = exif(stated, kind=kind, order=order, prefixes=1)
    assert_is_pillows(jpeg(content), turned=stated in (6, 7))


@pytest.mark.filterwarnings("ignore:.*had too many entries")
@pytest.mark.parametrize("kind", [1, 2, 7, 99])
def test_an_orientation_that_is_not_a_number_is_upright(kind):
  assert_is_pillows(jpeg(exif(6, kind=kind, prefixes=1)), turned=False)
  assert_is_pillows(jpeg(exif(6, count=2, prefixes=1)), turned=True)


@pytest.mark.parametrize("of", [JPEG, CMYK, JPEG + b"appended"])
@pytest.mark.parametrize("stated", range(1, 9))
def test_jpegs_of_all_decoders_lie_alike(stated, of):
  assert_is_pillows(jpeg(exif(stated, prefixes=1), of=of))
  assert_is_pillows(jpeg(exif(stated, kind=4, order=">", prefixes=2), of=of))
  assert_is_pillows(jpeg(XMP + xmp(stated), of=of))
  assert_is_pillows(jpeg(XMP + xmp(stated, "element"), of=of))


@pytest.mark.parametrize("stated", [1, 6])
def test_of_two_segments_the_first_counts(stated):
  one, other = exif(stated, prefixes=1), exif(8 - stated, prefixes=1)
  assert_is_pillows(jpeg(one, other))
  assert_is_pillows(jpeg(one[:22], b"Exif\0\0" + one[22:]))  # one in two parts


@pytest.mark.parametrize("stated", [1, 6, 9])
def test_xmp_counts_where_exif_is_silent(stated):
  empty = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
  assert_is_pillows(jpeg(empty, XMP + xmp(6)), turned=True)
  assert_is_pillows(jpeg(exif(stated, prefixes=1), XMP + xmp(8)))


def test_bytes_between_segments_hide_nothing():
  content = segment(EXIF, exif(6, prefixes=1))
  for between in (b"\xff\xff", b"\xff", b"\0\0\0"):
    assert_is_pillows(JPEG[:20] + between + content + JPEG[20:], turned=True)
  scan = JPEG.index(b"\xff\xda")
  assert_is_pillows(JPEG[:scan] + content + JPEG[scan:], turned=True)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("prefixes", [0, 1])
@pytest.mark.parametrize("kind", [3, 4])
def test_png(kind, prefixes, at_end):
  for stated in range(1, 9):
    content = exif(stated, kind=kind, order=">", prefixes=prefixes)
    added = chunk(b"eXIf", content)
    assert_is_pillows(image_files.with_chunks(PNG, added, at_end=at_end))


@pytest.mark.parametrize("packed", [False, True])
def test_png_of_texts(packed):
  digits = b"\nexif\n      42\n" + exif(6, prefixes=1).hex().encode() + b"\n"
  text, name = xmp(6), b"XML:com.adobe.xmp\0"
  if packed:
    added = b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(digits)
    other = name + b"\1\0en\0name\0" + zlib.compress(text)
  else:
    added = b"tEXt", b"Raw profile type exif\0" + digits
    other = name + b"\0\0\0\0" + text
  for each in (added, (b"iTXt", other)):
    encoded = image_files.with_chunks(PNG, chunk(*each))
    assert_is_pillows(encoded, turned=True)


@pytest.mark.parametrize("prefixes", [0, 1, 2])
def test_webp(prefixes):
  for stated in (1, 3, 6, 8):
    content = exif(stated, kind=4, order=">", prefixes=prefixes)
    assert_is_pillows(encode(PICTURE, "WEBP", lossless=True, exif=content))
  encoded = encode(PICTURE, "WEBP", lossless=True, xmp=xmp(6))
  assert_is_pillows(encoded, turned=True)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_tiff(compression, big):
  options = {"compression": compression, "big_tiff": big}
  for stated in (1, 2, 5, 8):
    assert_is_pillows(
      encode(PICTURE, "TIFF", tiffinfo={0x0112: stated}, **options)
    )
  encoded = encode(PICTURE, "TIFF", tiffinfo={700: xmp(6)}, **options)
  assert_is_pillows(encoded, turned=True)


@pytest.mark.skipif(not image_files.HAS_AVIF, reason="a Pillow without AVIF")
def test_avif_turns_by_its_boxes():
  for stated in range(1, 9):
    content = exif(stated)
    assert_is_pillows(encode(PICTURE, "AVIF", quality=100, exif=content))


def test_damage_is_upright():
  for content in (b"", b"II", b"II*\0\xff\0\0\0", b"??*\0", b"Exif\0\0" * 3):
    assert orientation.read(exif=content) == 1
  whole = exif(6)
  for length in range(len(whole)):
    assert orientation.read(exif=whole[:length]) in (1, 6)
  many = b"II*\0" + struct.pack("<IH", 8, 65535)
  assert orientation.read(exif=many + bytes(70)) == 1


@pytest.mark.parametrize("stated", range(1, 9))
def test_upright_equals_exif_transpose_of_pillow(stated):
  stored = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
  image = Image.fromarray(stored)
  image.getexif()[0x0112] = stated
  expected = np.asarray(ImageOps.exif_transpose(image))
  found = orientation.upright(stored, stated)
  np.testing.assert_array_equal(found, expected)
