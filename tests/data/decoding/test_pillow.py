"""Conversion of each pixel mode to 8 bits, or the reason of its rejection."""

import io
import subprocess
import sys

import image_files
import numpy as np
import pytest
from PIL import Image

from jaxvision.data import decoding

encode = image_files.encode
PICTURE = image_files.PICTURE
RAMP = np.linspace(0, 1, 48 * 64).reshape(48, 64)


def grey(encoded):
  colours = decoding.decode(encoded, channels=3)
  found = decoding.decode(encoded, channels=1)[..., 0]
  np.testing.assert_array_equal(colours, np.stack([found] * 3, axis=2))
  return found


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_floating_point_of_0_to_1_is_scaled(compression):
  image = Image.fromarray(RAMP.astype(np.float32))
  found = grey(encode(image, "TIFF", compression=compression))
  np.testing.assert_array_equal(found, np.rint(RAMP * 255))


def test_floating_point_may_be_off_by_less_than_half_a_step():
  values = np.asarray([[-1e-3, 0.5, 1.001]], np.float32)
  found = grey(encode(Image.fromarray(values), "TIFF"))
  np.testing.assert_array_equal(found, [[0, 128, 255]])


@pytest.mark.parametrize("order", "<>")
def test_floating_point_that_counts_from_white_is_inverted(order):
  values = RAMP.astype(f"{order}f4")
  encoded = image_files.numbers_as_tiff(
    values, order=order, bits=32, sample_format=3, photometric=0
  )
  np.testing.assert_array_equal(grey(encoded), 255 - np.rint(RAMP * 255))


@pytest.mark.parametrize("scale", [255, 65535, -1, np.nan])
def test_other_floating_point_is_unreadable(scale):
  image = Image.fromarray((RAMP * scale).astype(np.float32))
  with pytest.raises(decoding.UnreadableImage, match="expected 0 to 1"):
    decoding.decode(encode(image, "TIFF"), channels=3)


@pytest.mark.parametrize("most", [1, 255, 65535, 2**31 - 1])
def test_integers_of_32_bits_are_unreadable(most):
  image = Image.fromarray((RAMP * most).astype(np.int32))
  with pytest.raises(decoding.UnreadableImage, match=f"0 to {most}.*white"):
    decoding.decode(encode(image, "TIFF"), channels=3)


@pytest.mark.parametrize("order", "<>")
def test_signed_16_bits_are_unreadable(order):
  values = np.arange(-6, 6).reshape(3, 4).astype(f"{order}i2")
  encoded = image_files.numbers_as_tiff(values, order=order, sample_format=2)
  with pytest.raises(decoding.UnreadableImage, match="-6 to 5"):
    decoding.decode(encoded, channels=1)


@pytest.mark.parametrize("order", "<>")
def test_signed_8_bits_are_unreadable(order):
  """Pillow gives -1 as 255."""
  values = np.arange(-6, 6).reshape(3, 4).astype("i1")
  encoded = image_files.numbers_as_tiff(
    values, order=order, bits=8, sample_format=2
  )
  with pytest.raises(decoding.UnreadableImage, match="signed integers of 8"):
    decoding.decode(encoded, channels=1)


@pytest.mark.parametrize("order", "<>")
def test_16_bits_of_both_orders_are_scaled(order):
  values = np.rint(RAMP * 65535).astype(f"{order}u2")
  encoded = image_files.numbers_as_tiff(values, order=order)
  np.testing.assert_array_equal(grey(encoded), np.rint(values / 257))


def test_16_bits_that_count_from_white_are_inverted():
  values = np.rint(RAMP * 65535).astype("<u2")
  encoded = image_files.numbers_as_tiff(values, photometric=0)
  np.testing.assert_array_equal(grey(encoded), 255 - np.rint(values / 257))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_few_bits_are_scaled(bits, photometric, order):
  rows = np.random.default_rng(0).integers(0, 256, (5, 3), np.uint8)
  encoded = image_files.numbers_as_tiff(
    rows, order=order, bits=bits, photometric=photometric
  )
  values = np.unpackbits(rows, axis=1).reshape(5, -1, bits) @ (
    1 << np.arange(bits)[::-1]
  )
  expected = values * 255 // (2**bits - 1)
  expected = expected if photometric else 255 - expected
  np.testing.assert_array_equal(grey(encoded), expected)


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_black_and_white_of_fax_is_pillows(compression):
  image = PICTURE.convert("1")
  found = grey(encode(image, "TIFF", compression=compression))
  np.testing.assert_array_equal(found, np.asarray(image) * 255)


@pytest.mark.parametrize("most", [100, 255, 1000, 65535])
def test_grey_pnm_is_scaled_from_its_white(most):
  values = np.rint(RAMP * most).astype(">u2" if most > 255 else "u1")
  encoded = b"P5\n64 48\n%d\n" % most + values.tobytes()
  expected = np.rint(values / most * 255)
  assert np.abs(grey(encoded) - expected).max() <= (most != 65535)


def test_alpha_that_colours_are_multiplied_by_is_divided_out():
  halved = Image.new("RGB", (2, 2), (60, 30, 0))
  halved.putalpha(128)
  encoded = bytearray(encode(halved, "TIFF"))
  entry = encoded.index(b"\x52\x01\x03\x00")  # ExtraSamples: 2 becomes 1
  encoded[entry + 8] = 1
  found = decoding.decode(bytes(encoded), channels=3)
  np.testing.assert_allclose(found[0, 0], [120, 60, 0], atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_colours_of_print_are_converted(kind):
  image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
  options = {"quality": 95} if kind == "JPEG" else {}
  encoded = encode(image, kind, **options)
  found = decoding.decode(encoded, channels=3)
  np.testing.assert_allclose(found[0, 0], [255, 0, 0], atol=3)
  luma = decoding.decode(encoded, channels=1)
  np.testing.assert_allclose(luma[0, 0], [76], atol=3)


def test_a_limit_of_pillow_is_raised_not_lowered(monkeypatch):
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
  encoded = encode(PICTURE, "BMP")
  assert decoding.decode(encoded, channels=3).shape == (48, 64, 3)
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
  decoding.decode(encoded, channels=3)
  assert Image.MAX_IMAGE_PIXELS is None


def test_damage_prints_nothing(capfd):
  """Codecs would, without the name of the file."""
  for kind, options in (
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg"}),
    ("PNG", {}),
    ("JPEG", {}),
    ("WEBP", {}),
    ("GIF", {}),
  ):
    encoded = encode(PICTURE, kind, **options)
    for place in range(30, len(encoded), max(1, len(encoded) // 40)):
      damaged = bytearray(encoded)
      damaged[place] ^= 0xFF
      try:
        decoding.decode(bytes(damaged), channels=3)
      except decoding.UnreadableImage as error:
        assert str(error)
  assert capfd.readouterr() == ("", "")


def test_warnings_of_pillow_are_no_errors_and_not_shown():
  values = np.zeros((3, 4), np.uint8)
  encoded = image_files.numbers_as_tiff(values, bits=8)
  twice = encoded.replace(  # BitsPerSample is there, SamplesPerPixel twice
    b"\x15\x01\x03\0\x01\0\0\0\x01\0\0\0",
    b"\x15\x01\x03\0\x02\0\0\0\x01\0\x01\0",
  )
  assert twice != encoded
  code = (
    "import sys; from jaxvision.data import decoding; "
    "decoding.decode(sys.stdin.buffer.read(), channels=3)"
  )
  done = subprocess.run(
    [sys.executable, "-W", "always", "-c", code],
    input=twice,
    capture_output=True,
    check=True,
  )
  assert done.stderr == b""
  assert decoding.decode(twice, channels=1).shape == (3, 4, 1)


def test_the_first_image_of_several_counts():
  others = [PICTURE.rotate(180)]
  for kind in ("TIFF", "WEBP", "PNG"):
    options = {"lossless": True} if kind == "WEBP" else {}
    encoded = encode(
      PICTURE, kind, save_all=True, append_images=others, **options
    )
    assert Image.open(io.BytesIO(encoded)).n_frames == 2
    found = decoding.decode(encoded, channels=3)
    np.testing.assert_array_equal(found, image_files.PIXELS)
