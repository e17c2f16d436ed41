"""Grey is the luma of stored values; metadata does not change colours."""

import struct
import zlib

import image_files
import numpy as np
import pytest
from PIL import Image

from jaxvision.data import decoding
from jaxvision.data.decoding import pixels

encode, chunk = image_files.encode, image_files.chunk
PIXELS, PICTURE = image_files.PIXELS, image_files.PICTURE
CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
METADATA = {
  "none": [],
  "sRGB": [(b"sRGB", b"\0")],
  "gAMA 1/2.2": [(b"gAMA", struct.pack(">I", 45455))],
  "gAMA 1": [(b"gAMA", struct.pack(">I", 100000))],
  "gAMA 0": [(b"gAMA", struct.pack(">I", 0))],
  "gAMA and cHRM": [
    (b"gAMA", struct.pack(">I", 45455)),
    (b"cHRM", struct.pack(">8I", *CHROMATICITIES)),
  ],
  "cICP": [(b"cICP", bytes([9, 16, 0, 1]))],
  "sBIT": [(b"sBIT", b"\x05\x05\x05")],
  "iCCP": [(b"iCCP", b"name\0\0" + zlib.compress(image_files.profile()))],
  "broken iCCP": [(b"iCCP", b"name\0\0" + zlib.compress(b"x" * 200))],
  "twice": [(b"sRGB", b"\0"), (b"sRGB", b"\3"), (b"gAMA", b"\0")],
}


def with_metadata(encoded, name):
  chunks = [chunk(*each) for each in METADATA[name]]
  return image_files.with_chunks(encoded, *chunks)


@pytest.mark.parametrize("name", METADATA)
def test_metadata_change_no_pixel(name, capfd):
  encoded = with_metadata(encode(PICTURE, "PNG"), name)
  found = decoding.decode(encoded, channels=3)
  np.testing.assert_array_equal(found, PIXELS)
  grey = decoding.decode(encoded, channels=1)[..., 0]
  np.testing.assert_array_equal(grey, image_files.luma(PIXELS))
  assert capfd.readouterr() == ("", "")


def test_pure_blue_is_29():
  blue = Image.new("RGB", (4, 3), (0, 0, 255))
  encoded = with_metadata(encode(blue, "PNG"), "sRGB")
  assert set(decoding.decode(encoded, channels=1).flat) == {29}


@pytest.mark.parametrize("name", ["none", "sRGB", "gAMA 1/2.2"])
@pytest.mark.parametrize("mode", ["P", "P with alpha", "RGBA", "LA", "L", "1"])
def test_grey_of_all_kinds_is_pillows(mode, name):
  image, options = PICTURE.convert(mode.split()[0]), {}
  if mode.startswith("P"):
    image = PICTURE.quantize(16)
  if mode == "P with alpha":
    options = {"transparency": bytes(range(16))}
  if mode == "RGBA":
    image.putalpha(PICTURE.getchannel(0))
  encoded = with_metadata(encode(image, "PNG", **options), name)
  expected = np.asarray(image.convert("RGB").convert("L"))
  found = decoding.decode(encoded, channels=1)[..., 0]
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["none", "sRGB"])
@pytest.mark.parametrize("alpha", [False, True])
def test_grey_of_16_bits_is_the_luma_of_8(alpha, name):
  deep = np.random.default_rng(0).integers(0, 65536, (5, 7, 3 + alpha))
  rows = np.concatenate(
    [np.zeros((5, 1), np.uint8), deep.astype(">u2").reshape(5, -1).view("u1")],
    axis=1,
  )
  encoded = image_files.png(
    5, 7, depth=16, colour=6 if alpha else 2, rows=rows.tobytes()
  )
  eight = np.rint(deep[..., :3] / 257).astype(np.uint8)
  encoded = with_metadata(encoded, name)
  found = decoding.decode(encoded, channels=1)[..., 0]
  np.testing.assert_array_equal(found, image_files.luma(eight))
  found = decoding.decode(encoded, channels=3)
  np.testing.assert_array_equal(found, eight)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "WEBP", "GIF"])
def test_grey_of_other_formats_is_the_luma(kind):
  image = PICTURE.quantize(16) if kind == "GIF" else PICTURE
  options = {"lossless": True} if kind == "WEBP" else {}
  found = decoding.decode(encode(image, kind, **options), channels=1)[..., 0]
  expected = image_files.luma(np.asarray(image.convert("RGB")))
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("options", [{}, {"keep_rgb": True}])
def test_grey_of_a_jpeg_is_its_luma(options):
  encoded = encode(PICTURE, "JPEG", quality=95, subsampling=0, **options)
  colours = decoding.decode(encoded, channels=3)
  found = decoding.decode(encoded, channels=1)[..., 0]
  difference = np.abs(found.astype(int) - image_files.luma(colours))
  assert difference.max() <= 2 and difference.mean() < 0.1


def test_luma_is_the_closed_form():
  colours = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
  found = pixels.luma(colours)
  np.testing.assert_array_equal(found, image_files.luma(colours))


def test_scaling_to_8_bits_rounds():
  values = np.arange(65536, dtype=np.uint16)[None]
  found = pixels.to_8_bits(values)
  np.testing.assert_array_equal(found, np.rint(values / 257).astype(np.uint8))
  twelve = pixels.to_8_bits(values[:, :4096], most=4095)
  assert twelve[0, 0] == 0 and twelve[0, -1] == 255
