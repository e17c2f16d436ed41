import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxvision.data.decoding import jpeg

_NOISE = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)


def picture(height, width):
  """Smooth with some noise, so that every block has high frequencies."""
  smooth = cv2.resize(_NOISE, (width, height), interpolation=cv2.INTER_CUBIC)
  noise = np.random.default_rng(1).normal(0, 5, smooth.shape)
  return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))


def encode(image, **options):
  file = io.BytesIO()
  image.save(file, "JPEG", **{"quality": 90, **options})
  return file.getvalue()


def decode(encoded, **options):
  header = jpeg.read_header(encoded)
  return jpeg.decode(encoded, header, **{"channels": 3, **options})


# Kinds of files: chroma at half the size in both directions, one or none;
# with restart markers; all of a coefficient before the next one.
KINDS = {
  "4:2:0": {"subsampling": 2},
  "4:2:2": {"subsampling": 1},
  "4:4:4": {"subsampling": 0},
  "restarts": {"restart_marker_rows": 1},
  "progressive": {"progressive": True},
}


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (100, 81), (97, 128)])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_images_are_pillows(kind, size):
  encoded = encode(picture(*size), **KINDS[kind])
  expected = np.asarray(Image.open(io.BytesIO(encoded)))
  np.testing.assert_array_equal(decode(encoded), expected)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_grey_is_the_luma(mode):
  encoded = encode(picture(50, 70).convert(mode))
  opened = Image.open(io.BytesIO(encoded))
  opened.draft("L", opened.size)
  found = decode(encoded, channels=1)
  assert found.shape == (50, 70, 1)
  np.testing.assert_array_equal(found[..., 0], np.asarray(opened))


@pytest.mark.parametrize("divisor", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_above_the_bottom_are_those_of_the_whole(kind, divisor):
  encoded = encode(picture(150, 81), **KINDS[kind])
  whole = decode(encoded, divisor=divisor)
  assert whole.shape == (-(-150 // divisor), -(-81 // divisor), 3)
  for bottom in (1, 2, 15, 16, 17, 31, 32, 33, 100, 143, 144, 149, 150):
    part = decode(encoded, divisor=divisor, bottom=bottom)
    rows = -(-bottom // divisor)
    assert len(part) >= rows
    np.testing.assert_array_equal(part[:rows], whole[:rows])


def test_rows_below_the_bottom_are_left_out():
  encoded = encode(picture(150, 81))
  assert len(decode(encoded, bottom=40)) < 50
  progressive = encode(picture(150, 81), progressive=True)
  assert len(decode(progressive, bottom=40)) == 150


@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_reduced_images_are_means_of_blocks(divisor):
  encoded = encode(picture(64, 96).convert("L"), quality=100)
  whole = decode(encoded, channels=1)[..., 0].astype(float)
  blocks = whole.reshape(64 // divisor, divisor, 96 // divisor, divisor)
  found = decode(encoded, channels=1, divisor=divisor)[..., 0]
  # The transform of fewer frequencies is not exactly a mean.
  assert np.abs(found - blocks.mean((1, 3))).mean() < 1.5


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation, big_endian):
  exif = Image.Exif()
  exif.endian = ">" if big_endian else "<"
  exif[0x010E] = "an entry of text before it"
  exif[0x0112] = orientation
  encoded = encode(picture(48, 64), exif=exif)
  header = jpeg.read_header(encoded)
  assert header.orientation == orientation
  assert (header.height, header.width) == (48, 64)
  upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))))
  found = decode(encoded, bottom=10)
  assert header.shape == found.shape[:2] if orientation > 1 else (48, 64)
  np.testing.assert_array_equal(found[:10], upright[:10])


@pytest.mark.parametrize("damage", [b"", b"II", b"II*\0\xff\0\0\0", b"??*\0"])
def test_damaged_orientation_is_upright(damage):
  content = b"Exif\0\0" + damage
  segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content
  encoded = encode(picture(8, 9))
  header = jpeg.read_header(encoded[:2] + segment + encoded[2:])
  assert header.orientation == 1 and header.shape == (8, 9)


def test_others_are_not_common():
  encoded = encode(picture(8, 9))
  assert jpeg.read_header(encoded).common
  assert jpeg.read_header(b"") is None
  assert jpeg.read_header(b"\xff\xd8\xff\xd9") is None
  assert not jpeg.read_header(encoded[:-2]).common
  assert not jpeg.read_header(encode(picture(8, 9).convert("CMYK"))).common
  lossless = encoded.replace(b"\xff\xc0", b"\xff\xc3", 1)
  assert not jpeg.read_header(lossless).common
  for place in range(2, 40):
    cut = encoded[:place] + b"\xff\xd9"
    assert jpeg.read_header(cut) is None


def test_bytes_between_segments_and_after_rows_are_no_error():
  """Some cameras write them; OpenCV and Pillow take such files."""
  encoded = encode(picture(40, 30))
  padded = encoded[:-2] + bytes(7) + encoded[-2:]
  np.testing.assert_array_equal(decode(padded), decode(encoded))


def test_an_undecodable_file_is_none():
  encoded = encode(picture(40, 30))
  tables = encoded.index(b"\xff\xc4")
  length = int.from_bytes(encoded[tables + 2 : tables + 4])
  broken = bytearray(encoded)
  broken[tables + 5 : tables + 2 + length] = b"\xff" * (length - 3)
  header = jpeg.read_header(bytes(broken))
  assert header and jpeg.decode(bytes(broken), header, channels=3) is None
